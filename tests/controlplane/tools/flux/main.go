// Command flux-health says how an object fares in the eyes of Flux: by its rules for every kind (a copy of kstatus, which
// Helm uses, too), or by the health check expressions of a Kustomization; or by kstatus itself, as kpt does. It speaks to no
// cluster.
//
// It reads {"object": ..., "expressions": {"current": ..., "failed": ..., "inProgress": ...}, "kstatus": false} from its
// input, and writes {"status": ..., "message": ...}. Without expressions the rules for every kind hold.
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
	kstatus "sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

type question struct {
	Object      unstructured.Unstructured         `json:"object"`
	Expressions *kustomize.HealthCheckExpressions `json:"expressions"`
	Kstatus     bool                              `json:"kstatus"`
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
	if asked.Kstatus {
		result, err := kstatus.Compute(&asked.Object)
		if err != nil {
			return err
		}
		return json.NewEncoder(out).Encode(health{Status: status.Status(result.Status), Message: result.Message})
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
