// Prints what kstatus makes of each object of the YAML documents on stdin, one line each: "InProgress  Kind/name". It is
// the library that Flux waits with.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(from io.Reader, to io.Writer) error {
	documents := yaml.NewYAMLOrJSONDecoder(bufio.NewReader(from), 4096)
	for {
		found := &unstructured.Unstructured{}
		if err := documents.Decode(found); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		result, err := status.Compute(found)
		if err != nil {
			return fmt.Errorf("%s/%s: %w", found.GetKind(), found.GetName(), err)
		}
		fmt.Fprintf(to, "%s %s/%s\n", result.Status, found.GetKind(), found.GetName())
	}
}
