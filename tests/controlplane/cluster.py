"""A running API server as its users see it: kubectl, and users with their own rights; starts and stops nothing."""

import json
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

_RIGHTS_SECONDS: Final = 10

Rule = Mapping[str, Sequence[str]]
"""A rule of a Role, in its own words: apiGroups, resources, verbs, resourceNames."""


class KubectlFailed(Exception):
    """kubectl ended with an error; the message is what it printed."""


class Cluster:
    """What can be asked of an API server with its administrator's kubeconfig.

    Args:
        kubectl: The program.
        kubeconfig: The administrator's; users' kubeconfigs are written beside it.
    """

    def __init__(self, kubectl: Path, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig
        self._kubectl = kubectl

    def environ(self, path: str = os.defpath, kubeconfig: Path | None = None) -> dict[str, str]:
        """The variables that make kubectl and every client talk to this cluster; `kubectl` comes first on PATH."""
        return {
            "PATH": f"{self._kubectl.parent}{os.pathsep}{path}",
            "KUBECONFIG": str(kubeconfig or self.kubeconfig),
            # Its own: what kubectl remembers of another cluster on the same port would be wrong.
            "KUBECACHEDIR": str(self.kubeconfig.with_name("kubectl-cache")),
        }

    def kubectl(self, *arguments: str | Path, stdin: str | None = None, kubeconfig: Path | None = None) -> str:
        """What `kubectl ARGUMENTS` prints, as the administrator or as the user of `kubeconfig`.

        Raises:
            KubectlFailed: It ended with an error.
        """
        done = subprocess.run(
            [self._kubectl, *arguments],
            input=stdin or "",
            env=self.environ(kubeconfig=kubeconfig),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise KubectlFailed(done.stderr.strip())
        return done.stdout

    def apply(self, *manifests: Mapping[str, Any], kubeconfig: Path | None = None) -> str:
        """`kubectl apply` of objects given as dictionaries."""
        objects = {"apiVersion": "v1", "kind": "List", "items": manifests}
        return self.kubectl("apply", "-f", "-", stdin=json.dumps(objects), kubeconfig=kubeconfig)

    def user(self, name: str, rules: Sequence[Rule], namespace: str | None = None) -> Path:
        """The kubeconfig of a new service account that may do what `rules` say, and nothing else.

        In `namespace` the rules hold there; without one they hold in the whole cluster, and the account lives in
        `default`. Returns when the API server honours them.
        """
        home = namespace or "default"
        scope = "Role" if namespace else "ClusterRole"
        where = {"name": name, **({"namespace": namespace} if namespace else {})}
        rbac = "rbac.authorization.k8s.io"
        self.apply(
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": home}},
            {"apiVersion": f"{rbac}/v1", "kind": scope, "metadata": where, "rules": rules},
            {
                "apiVersion": f"{rbac}/v1",
                "kind": f"{scope}Binding",
                "metadata": where,
                "roleRef": {"apiGroup": rbac, "kind": scope, "name": name},
                "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": home}],
            },
        )
        kubeconfig = self.service_account(name, home)
        if rules:
            self._await_rights(kubeconfig, rules[0])
        return kubeconfig

    def service_account(self, name: str, namespace: str) -> Path:
        """The kubeconfig of a service account that exists, with a token from TokenRequest (valid for an hour)."""
        token = self.kubectl("create", "token", name, "--namespace", namespace).strip()
        config = json.loads(self.kubeconfig.read_text())
        config["users"][0]["user"] = {"token": token}
        config["contexts"][0]["context"]["namespace"] = namespace
        return write_private(self.kubeconfig.with_name(f"{namespace}.{name}.kubeconfig"), json.dumps(config, indent=2))

    def _await_rights(self, kubeconfig: Path, rule: Rule) -> None:
        # The authorizer learns of new roles by a watch: a moment after they are stored.
        group, resource = rule["apiGroups"][0], rule["resources"][0]
        subject = f"{resource}.{group}" if group else resource
        if names := rule.get("resourceNames"):
            subject += f"/{names[0]}"
        deadline = time.monotonic() + _RIGHTS_SECONDS
        while True:
            try:
                self.kubectl("auth", "can-i", rule["verbs"][0], subject, kubeconfig=kubeconfig)
            except KubectlFailed:
                if time.monotonic() > deadline:
                    raise
            else:
                return


def write_kubeconfig(path: Path, *, url: str, ca: Path, token: str) -> Path:
    """A kubeconfig with one cluster and one user, as JSON (which is YAML)."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "local", "cluster": {"server": url, "certificate-authority": str(ca)}}],
        "users": [{"name": "user", "user": {"token": token}}],
        "contexts": [{"name": "local", "context": {"cluster": "local", "user": "user"}}],
        "current-context": "local",
    }
    return write_private(path, json.dumps(config, indent=2))


def write_private(path: Path, text: str) -> Path:
    """Writes a file that only its owner may read."""
    path.touch(mode=0o600)
    path.write_text(text)
    return path
