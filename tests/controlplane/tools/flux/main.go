// Command flux-health says how an object fares in the eyes of Flux: by its rules for every kind (kstatus), or by the health
// check expressions of a Kustomization. It speaks to no cluster.
//
// It reads {"object": ..., "expressions": {"current": ..., "failed": ..., "inProgress": ...}} from its input, and writes
// {"status": ..., "message": ...}. Without expressions the rules for every kind hold.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"github.com/fluxcd/pkg/apis/kustomize"
	"github.com/fluxcd/pkg/runtime/cel"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

type question struct {
	Object      unstructured.Unstructured         `json:"object"`
	Expressions *kustomize.HealthCheckExpressions `json:"expressions"`
}

type health struct {
	Status  status.Status `json:"status"`
	Message string        `json:"message"`
}

func main() {
	if err := answer(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func answer(in io.Reader, out io.Writer) error {
	var asked question
	if err := json.NewDecoder(in).Decode(&asked); err != nil {
		return err
	}
	if asked.Expressions == nil {
		return json.NewEncoder(out).Encode(seen(status.Compute(&asked.Object)))
	}
	evaluator, err := cel.NewStatusEvaluator(asked.Expressions)
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(seen(evaluator.Evaluate(context.Background(), &asked.Object)))
}

// seen turns an error into the status Unknown, as Flux does while it polls.
func seen(result *status.Result, err error) health {
	if err != nil {
		return health{Status: status.UnknownStatus, Message: err.Error()}
	}
	return health{Status: result.Status, Message: result.Message}
}
