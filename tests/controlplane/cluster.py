"""A running API server for its users: kubectl, and service accounts with rights; starts and stops nothing."""

import json
import os
import ssl
import subprocess
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import httpx

_RIGHTS_SECONDS: Final = 300
"""A guard against hanging: a busy machine may take long."""

_POLL_SECONDS: Final = 0.05

Rule = Mapping[str, Sequence[str]]
"""A rule of a Role, with its fields apiGroups, resources, verbs, resourceNames."""


class KubectlFailed(Exception):
    """kubectl ended with an error; the message is what it printed."""


class Cluster:
    """An API server, used with its administrator's kubeconfig.

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

    def user(
        self, name: str, rules: Sequence[Rule], namespace: str | None = None, *, everywhere: Sequence[Rule] = ()
    ) -> Path:
        """The kubeconfig of a service account that has the rights of `rules` and of `everywhere`, and no others.

        In `namespace` the rules hold there; without one they hold in the whole cluster, and the account is in
        `default`. Those of `everywhere` hold in the whole cluster. Returns when the API server grants them.
        """
        home = namespace or "default"
        with self._http() as http:
            account = f"/api/v1/namespaces/{home}/serviceaccounts/{name}"
            _apply(http, account, {"apiVersion": "v1", "kind": "ServiceAccount"})
            _grant(http, name, rules, account=(home, name), namespace=namespace)
            if everywhere:
                _grant(http, f"{home}.{name}", everywhere, account=(home, name), namespace=None)
        kubeconfig = self.service_account(name, home)
        for first in (*rules[:1], *everywhere[:1]):
            self._await_rights(kubeconfig, first, home)
        return kubeconfig

    def service_account(self, name: str, namespace: str) -> Path:
        """The kubeconfig of a service account that exists, with a token from TokenRequest (valid for an hour)."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
        with self._http() as http:
            answer = http.post(
                path, json={"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
            )
        config = json.loads(self.kubeconfig.read_text())
        config["users"][0]["user"] = {"token": answer.raise_for_status().json()["status"]["token"]}
        config["contexts"][0]["context"]["namespace"] = namespace
        return write_private(self.kubeconfig.with_name(f"{namespace}.{name}.kubeconfig"), json.dumps(config, indent=2))

    def await_policies(self) -> None:
        """Return when all ValidatingAdmissionPolicies that exist now are enforced.

        The API server learns of policies and of their bindings in the order in which they were written, and enforces
        all that it knows from one moment on. So they are enforced when one that is written now is: it denies a name.
        """
        name = f"denied-{uuid.uuid4().hex[:8]}"
        group = "/apis/admissionregistration.k8s.io/v1"
        rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}
        spec = {
            "matchConstraints": {"resourceRules": [rule]},
            "validations": [{"expression": f"request.name != '{name}'"}],
        }
        binding = {"policyName": name, "validationActions": ["Deny"]}
        denied = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}
        written = (("Policy", "policies", spec), ("PolicyBinding", "policybindings", binding))
        with self._http() as http:
            for kind, resource, content in written:
                manifest = {"apiVersion": group.removeprefix("/apis/"), "kind": f"ValidatingAdmission{kind}"}
                _apply(http, f"{group}/validatingadmission{resource}/{name}", {**manifest, "spec": content})

            def is_enforced() -> bool:
                answer = http.post("/api/v1/namespaces/default/configmaps", json=denied, params={"dryRun": "All"})
                return answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY

            _await(is_enforced, "the admission policies are enforced")
            for _, resource, _ in reversed(written):
                http.delete(f"{group}/validatingadmission{resource}/{name}").raise_for_status()

    def _await_rights(self, kubeconfig: Path, rule: Rule, namespace: str) -> None:
        """Wait until the authorizer, which watches roles, has received a new one."""
        wanted = {
            "namespace": namespace,
            "verb": rule["verbs"][0],
            "group": rule["apiGroups"][0],
            "resource": rule["resources"][0],
            "name": (rule.get("resourceNames") or [""])[0],
        }
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": wanted},
        }
        with self._http(kubeconfig) as http:

            def is_granted() -> bool:
                answer = http.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", json=review)
                return bool(answer.raise_for_status().json()["status"]["allowed"])

            _await(is_granted, f"{wanted} is granted")

    def _http(self, kubeconfig: Path | None = None) -> httpx.Client:
        """A client with the rights of a kubeconfig, by default the administrator's."""
        config = json.loads((kubeconfig or self.kubeconfig).read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        return httpx.Client(
            base_url=cluster["server"],
            headers={"Authorization": f"Bearer {user['token']}"},
            verify=verifying(Path(cluster["certificate-authority"])),
            timeout=_RIGHTS_SECONDS,
            trust_env=False,
        )


def _await(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _RIGHTS_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"not after {_RIGHTS_SECONDS} s: {what}"
        time.sleep(_POLL_SECONDS)


def _grant(
    http: httpx.Client, name: str, rules: Sequence[Rule], *, account: tuple[str, str], namespace: str | None
) -> None:
    """Give a service account a role of this name, in a namespace or in the whole cluster."""
    rbac = "rbac.authorization.k8s.io"
    scope = "Role" if namespace else "ClusterRole"
    roles = f"/apis/{rbac}/v1" + (f"/namespaces/{namespace}" if namespace else "")
    role = {"apiVersion": f"{rbac}/v1", "kind": scope, "rules": rules}
    _apply(http, f"{roles}/{scope.lower()}s/{name}", role)
    binding = {
        "apiVersion": f"{rbac}/v1",
        "kind": f"{scope}Binding",
        "roleRef": {"apiGroup": rbac, "kind": scope, "name": name},
        "subjects": [{"kind": "ServiceAccount", "namespace": account[0], "name": account[1]}],
    }
    _apply(http, f"{roles}/{scope.lower()}bindings/{name}", binding)


def _apply(http: httpx.Client, path: str, manifest: Mapping[str, Any]) -> None:
    """Server-side apply of the object at a path."""
    http.patch(
        path,
        content=json.dumps({**manifest, "metadata": {"name": path.rpartition("/")[2]}}),
        headers={"Content-Type": "application/apply-patch+yaml"},
        params={"fieldManager": "tests", "force": "true"},
    ).raise_for_status()


def verifying(authority: Path) -> ssl.SSLContext:
    """The TLS context of a client that trusts this authority, as Kubernetes' own clients do, which are not strict."""
    context = ssl.create_default_context(cafile=authority)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


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
