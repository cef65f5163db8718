"""Runs a command for users of a cluster: finds the cluster, opens the output, and prints failures as one line."""

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from vaultsync.adapters.kube import NoCluster
from vaultsync.adapters.kube.reader import ClusterReader
from vaultsync.api.v1alpha1 import InvalidSpec
from vaultsync.cli.output import Color, MissingExtra, Output, open_output
from vaultsync.errors import SyncError
from vaultsync.settings import SettingsError
from vaultsync.texts import MAX_MESSAGE, one_line

FAILED: Final = 1
INTERRUPTED: Final = 130


@dataclass(frozen=True, slots=True)
class Session:
    """What a command works with."""

    options: argparse.Namespace
    cluster: ClusterReader
    output: Output
    now: Callable[[], datetime]

    @property
    def namespace(self) -> str | None:
        """The namespace that the flags name, or that of the context; None for all."""
        if getattr(self.options, "all_namespaces", False):
            return None
        return self.options.namespace or self.cluster.namespace


Command = Callable[[Session], Awaitable[int]]


def run(command: Command, options: argparse.Namespace) -> int:
    """Run a command and return its exit code; a failure is one line on standard error."""
    # What libraries log has texts of others, and is not for users.
    logging.getLogger().addHandler(logging.NullHandler())
    try:
        return asyncio.run(_run(command, options))
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader, such as head, has seen enough. Python would print an error when it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except (InvalidSpec, MissingExtra, NoCluster, SettingsError, SyncError) as error:
        print(f"error: {one_line(str(error), MAX_MESSAGE)}", file=sys.stderr)
        return FAILED


async def _run(command: Command, options: argparse.Namespace) -> int:
    environ: Mapping[str, str] = options.environ
    output = open_output(sys.stdout, environ, Color(options.color))
    reader = await ClusterReader.connect(environ, kubeconfig=options.kubeconfig, context=options.context)
    async with reader as cluster:
        code = await command(Session(options, cluster, output, _now))
        output.flush()
        return code


def _now() -> datetime:
    return datetime.now(UTC)
