package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
)

// eventMax is longer than any event, in bytes: two objects and what is said about them.
const eventMax = 8 << 20

// readEvents decodes an audit log strictly into Kubernetes' own types, and holds what these write
// against it: nothing may be lost, added or written in another way.
func readEvents(_ context.Context, args []string) error {
	if len(args) != 1 {
		return errors.New("name the audit log")
	}
	file, err := os.Open(args[0])
	if err != nil {
		return err
	}
	defer file.Close()
	scheme := runtime.NewScheme()
	if err := auditv1.AddToScheme(scheme); err != nil {
		return err
	}
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()

	events, stages, objects := 0, map[auditv1.Stage]int{}, 0
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, eventMax)
	for lines.Scan() {
		object, _, err := decoder.Decode(lines.Bytes(), nil, nil)
		if err != nil {
			return fmt.Errorf("event %d: %w: %s", events, err, lines.Bytes())
		}
		event, ok := object.(*auditv1.Event)
		if !ok {
			return fmt.Errorf("line %d is a %T", events, object)
		}
		if err := sameJSON(lines.Bytes(), event); err != nil {
			return fmt.Errorf("event %d: %w", events, err)
		}
		events++
		stages[event.Stage]++
		if event.RequestObject != nil || event.ResponseObject != nil {
			objects++
		}
	}
	fmt.Printf("audit: %d events, %d with objects, %d received, %d started, %d complete\n", events, objects,
		stages[auditv1.StageRequestReceived], stages[auditv1.StageResponseStarted],
		stages[auditv1.StageResponseComplete])
	return lines.Err()
}

// sameJSON says what differs between a text and what is written of the object that was read from it.
func sameJSON(text []byte, object any) error {
	written, err := json.Marshal(object)
	if err != nil {
		return err
	}
	var before, after any
	if err := errors.Join(json.Unmarshal(text, &before), json.Unmarshal(written, &after)); err != nil {
		return err
	}
	if difference := cmp.Diff(before, after); difference != "" {
		return errors.New(difference)
	}
	return nil
}
