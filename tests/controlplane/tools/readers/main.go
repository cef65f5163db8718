// Command readers says whether the programs that read Secrets accept their data: Go's crypto/tls for kubernetes.io/tls,
// Go's SSH client for kubernetes.io/ssh-auth, the kubelet for logins at image registries. It speaks to no cluster.
//
// It reads an array of {"type": ..., "data": {key: base64}} from its input, and writes an array of errors: an empty text for
// data that is accepted.
package main

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"golang.org/x/crypto/ssh"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/pkg/credentialprovider"
)

func main() {
	if err := answer(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func answer(in io.Reader, out io.Writer) error {
	var secrets []corev1.Secret
	if err := json.NewDecoder(in).Decode(&secrets); err != nil {
		return err
	}
	errors := make([]string, len(secrets))
	for index, secret := range secrets {
		if err := read(secret.Type, secret.Data); err != nil {
			errors[index] = err.Error()
		}
	}
	return json.NewEncoder(out).Encode(errors)
}

func read(kind corev1.SecretType, data map[string][]byte) error {
	switch kind {
	case corev1.SecretTypeTLS:
		_, err := tls.X509KeyPair(data[corev1.TLSCertKey], data[corev1.TLSPrivateKeyKey])
		return err
	case corev1.SecretTypeSSHAuth:
		_, err := ssh.ParseRawPrivateKey(data[corev1.SSHAuthPrivateKey])
		return err
	case corev1.SecretTypeDockerConfigJson:
		return json.Unmarshal(data[corev1.DockerConfigJsonKey], &credentialprovider.DockerConfigJSON{})
	case corev1.SecretTypeDockercfg:
		return json.Unmarshal(data[corev1.DockerConfigKey], &credentialprovider.DockerConfig{})
	default:
		return fmt.Errorf("no reader for type %q", kind)
	}
}
