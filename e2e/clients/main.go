// The program has three commands: `openapi` judges the OpenAPI documents of an extension API server by
// the code that reads them in a cluster, `informers` follows its objects with all of client-go's
// informers, and `audit` reads its audit log. All print a line of figures, or a sentence that says what
// is wrong and exit with 1.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	commands := map[string]func(context.Context, []string) error{
		"openapi":   checkOpenAPI,
		"informers": followObjects,
		"audit":     readEvents,
	}
	err := errors.New("name a command: openapi, informers or audit")
	if len(os.Args) > 1 && commands[os.Args[1]] != nil {
		err = commands[os.Args[1]](ctx, os.Args[2:])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
