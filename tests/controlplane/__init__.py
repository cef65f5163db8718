"""A real Kubernetes control plane on this machine: etcd, kube-apiserver, kube-controller-manager, kubectl and helm.

There is no kubelet: pods are stored, not run. Everything listens on loopback, lives in one folder and ends with the
program that started it.
"""
