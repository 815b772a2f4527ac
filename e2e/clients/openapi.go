package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/cel/common"
	"k8s.io/apiserver/pkg/cel/openapi"
	"k8s.io/apiserver/pkg/cel/openapi/resolver"
	"k8s.io/client-go/discovery"
	openapi3 "k8s.io/client-go/openapi3"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/kube-openapi/pkg/aggregator"
	"k8s.io/kube-openapi/pkg/spec3"
	"k8s.io/kube-openapi/pkg/validation/spec"
)

// checkOpenAPI reads version 2 of an extension API server from a file, since the aggregator passes on
// only what it has made of it, and everything else through the aggregator.
func checkOpenAPI(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("openapi", flag.ExitOnError)
	kubeconfig := flags.String("kubeconfig", os.Getenv("KUBECONFIG"), "of the cluster")
	group := flags.String("group", "", "API group of the server")
	version := flags.String("version", "", "version of the group")
	v2 := flags.String("v2", "", "file with the server's own /openapi/v2")
	_ = flags.Parse(args)

	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		return err
	}
	client, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return err
	}
	served := schema.GroupVersion{Group: *group, Version: *version}
	merged, err := mergeV2(ctx, client, *v2, served)
	if err != nil {
		return fmt.Errorf("OpenAPI v2: %w", err)
	}
	kinds, err := loadV3(ctx, client, served)
	if err != nil {
		return fmt.Errorf("OpenAPI v3: %w", err)
	}
	fmt.Printf("openapi: %s, %s\n", merged, kinds)
	return nil
}

// mergeV2 does what kube-aggregator's controller does: k8s.io/kube-aggregator/pkg/controllers/openapi/aggregator.
func mergeV2(ctx context.Context, client discovery.DiscoveryInterface, file string, served schema.GroupVersion) (string, error) {
	theirs, err := client.RESTClient().Get().AbsPath("/openapi/v2").SetHeader("Accept", "application/json").DoRaw(ctx)
	if err != nil {
		return "", err
	}
	var cluster, ours spec.Swagger
	if err := json.Unmarshal(theirs, &cluster); err != nil {
		return "", fmt.Errorf("kube-apiserver's own: %w", err)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	if err := json.Unmarshal(content, &ours); err != nil {
		return "", err
	}

	// The cluster may have merged our document already: begin without it. A path such as /apis/ would
	// keep it as a prefix.
	prefix := "/apis/" + served.String() + "/"
	var others []string
	for path := range cluster.Paths.Paths {
		if !strings.HasPrefix(path, prefix) && !strings.HasPrefix(prefix, path) {
			others = append(others, path)
		}
	}
	aggregator.FilterSpecByPaths(&cluster, others)
	all := len(ours.Paths.Paths)
	filtered := aggregator.FilterSpecByPathsWithoutSideEffects(&ours, []string{prefix})
	if len(filtered.Paths.Paths) == 0 {
		return "", fmt.Errorf("none of %d paths begins with %s", all, prefix)
	}

	before := maps.Clone(cluster.Definitions)
	if err := aggregator.MergeSpecsIgnorePathConflictRenamingDefinitionsAndParameters(&cluster, filtered); err != nil {
		return "", fmt.Errorf("it cannot be merged: %w", err)
	}
	for path := range filtered.Paths.Paths {
		if _, ok := cluster.Paths.Paths[path]; !ok {
			return "", fmt.Errorf("the path %s got lost in the merge", path)
		}
	}
	if len(cluster.Definitions) == len(before) {
		return "", fmt.Errorf("the merge brings no definition")
	}
	for name, definition := range before {
		if !reflect.DeepEqual(withoutKinds(definition), withoutKinds(cluster.Definitions[name])) {
			return "", fmt.Errorf("the merge changes kube-apiserver's definition %s", name)
		}
	}
	if err := referencesResolve(&cluster); err != nil {
		return "", err
	}
	var renamed []string
	for name := range cluster.Definitions {
		_, known := before[name]
		if _, same := filtered.Definitions[name]; !known && !same {
			renamed = append(renamed, name)
		}
	}
	slices.Sort(renamed)
	return fmt.Sprintf("%d of %d v2 paths merged, %d new definitions, renamed: %v",
		len(filtered.Paths.Paths), all, len(cluster.Definitions)-len(before), renamed), nil
}

// withoutKinds leaves out the list of kinds, which a merge adds to for DeleteOptions and WatchEvent.
func withoutKinds(definition spec.Schema) spec.Schema {
	definition.Extensions = maps.Clone(definition.Extensions)
	delete(definition.Extensions, "x-kubernetes-group-version-kind")
	return definition
}

func referencesResolve(document *spec.Swagger) error {
	content, err := json.Marshal(document)
	if err != nil {
		return err
	}
	const reference = `"$ref":"#/definitions/`
	for _, part := range strings.Split(string(content), reference)[1:] {
		name, _, _ := strings.Cut(part, `"`)
		if _, ok := document.Definitions[name]; !ok {
			return fmt.Errorf("the merged document refers to %q, which it does not have", name)
		}
	}
	return nil
}

// loadV3 resolves every kind of the version as k8s.io/apiserver/pkg/admission/plugin/policy/validating
// does to check the types of an expression, and as apiextensions-apiserver reads a schema.
func loadV3(ctx context.Context, client discovery.DiscoveryInterface, served schema.GroupVersion) (string, error) {
	var document *spec3.OpenAPI
	// A registration shows there after a while.
	err := wait.PollUntilContextTimeout(ctx, time.Second, time.Minute, true, func(context.Context) (bool, error) {
		found, err := openapi3.NewRoot(client.OpenAPIV3()).GVSpec(served)
		document = found
		var absent *openapi3.GroupVersionNotFoundError
		if errors.As(err, &absent) {
			return false, nil
		}
		return true, err
	})
	if err != nil {
		return "", err
	}
	content, err := json.Marshal(document)
	if err != nil {
		return "", err
	}
	var again spec3.OpenAPI
	if err := json.Unmarshal(content, &again); err != nil {
		return "", err
	}
	if !reflect.DeepEqual(*document, again) {
		everything := cmp.Exporter(func(reflect.Type) bool { return true })
		return "", fmt.Errorf("it changes on a way through kube-openapi's types and back:\n%s", cmp.Diff(*document, again, everything))
	}

	resources, err := client.ServerResourcesForGroupVersion(served.String())
	if err != nil {
		return "", err
	}
	kinds := map[string]bool{}
	for _, resource := range resources.APIResources {
		// A subresource such as scale may be of another group.
		if resource.Group == "" || resource.Group == served.Group {
			kinds[resource.Kind] = true
			if !strings.Contains(resource.Name, "/") {
				kinds[resource.Kind+"List"] = true
			}
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		if err := resolveKind(client, served.WithKind(kind)); err != nil {
			return "", fmt.Errorf("%s: %w", kind, err)
		}
	}
	return fmt.Sprintf("%d v3 schemas, %d kinds resolved", len(document.Components.Schemas), len(kinds)), nil
}

func resolveKind(client discovery.DiscoveryInterface, kind schema.GroupVersionKind) error {
	resolved, err := (&resolver.ClientDiscoveryResolver{Discovery: client}).ResolveSchema(kind)
	if err != nil {
		return err
	}
	declared := common.SchemaDeclType(&openapi.Schema{Schema: resolved}, true)
	if declared == nil {
		return fmt.Errorf("no type for expressions can be made of its schema")
	}
	for name := range resolved.Properties {
		if _, ok := declared.Fields[name]; !ok {
			return fmt.Errorf("expressions do not see its field %s", name)
		}
	}

	content, err := json.Marshal(resolved)
	if err != nil {
		return err
	}
	var external apiextensionsv1.JSONSchemaProps
	if err := json.Unmarshal(content, &external); err != nil {
		return err
	}
	var internal apiextensions.JSONSchemaProps
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(&external, &internal, nil); err != nil {
		return err
	}
	if _, err := structuralschema.NewStructural(&internal); err != nil {
		return fmt.Errorf("its schema is not structural: %w", err)
	}
	return nil
}
