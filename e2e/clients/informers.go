package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/pager"
)

// equalWithin is how long an informer may take after the last write. A relist after an outage waits
// for a backoff of up to 30 seconds.
const equalWithin = 45 * time.Second

// follower is an informer with what its events alone have told.
type follower struct {
	name     string
	informer cache.SharedIndexInformer
	// What a LIST has to give for the informer to be right.
	namespace string
	selector  labels.Selector

	mu       sync.Mutex
	told     map[string]string
	received int
}

// requests counts what the informers ask of the server.
type requests struct {
	lists, watches, streams, failures atomic.Int64
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }

func (r *requests) count(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(request *http.Request) (*http.Response, error) {
		query := request.URL.Query()
		switch {
		case query.Get("sendInitialEvents") == "true":
			r.streams.Add(1)
		case query.Get("watch") == "true" || query.Get("watch") == "1":
			r.watches.Add(1)
		default:
			r.lists.Add(1)
		}
		response, err := next.RoundTrip(request)
		if err != nil || response.StatusCode >= 400 {
			r.failures.Add(1)
		}
		return response, err
	})
}

// followObjects runs the informers until its input ends. Each line of the input is a command:
// `compare` waits until every informer has what a LIST has, `forgotten RV` expects that a watch from
// this resourceVersion is refused.
func followObjects(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("informers", flag.ExitOnError)
	kubeconfig := flags.String("kubeconfig", os.Getenv("KUBECONFIG"), "of the cluster")
	resource := flags.String("resource", "", "what to follow, as RESOURCE.VERSION.GROUP")
	namespace := flags.String("namespace", "", "the namespace that one informer is restricted to")
	selector := flags.String("selector", "", "the labels that one informer is restricted to")
	_ = flags.Parse(args)

	followed, _ := schema.ParseResourceArg(*resource)
	if followed == nil {
		return fmt.Errorf("--resource=%s: write RESOURCE.VERSION.GROUP", *resource)
	}
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		return err
	}
	config.QPS = -1
	plain, err := dynamic.NewForConfig(config)
	if err != nil {
		return err
	}
	sent := &requests{}
	config = rest.CopyConfig(config)
	config.Wrap(sent.count)
	followers, err := newFollowers(config, *followed, *namespace, *selector)
	if err != nil {
		return err
	}
	for _, f := range followers {
		if _, err := f.informer.AddEventHandler(f.handler()); err != nil {
			return err
		}
		go f.informer.RunWithContext(ctx)
	}

	commands := bufio.NewScanner(os.Stdin)
	for commands.Scan() {
		command, argument, _ := strings.Cut(commands.Text(), " ")
		var answer string
		switch command {
		case "compare":
			answer, err = compare(ctx, plain.Resource(*followed), followers)
			answer += fmt.Sprintf(", %d lists, %d watches, %d streaming lists, %d failures",
				sent.lists.Load(), sent.watches.Load(), sent.streams.Load(), sent.failures.Load())
		case "forgotten":
			answer, err = forgotten(ctx, plain.Resource(*followed), argument)
		default:
			err = fmt.Errorf("unknown command %q", command)
		}
		if err != nil {
			return err
		}
		fmt.Println(answer)
	}
	return commands.Err()
}

// newFollowers has an informer of every kind that client-go knows.
func newFollowers(config *rest.Config, followed schema.GroupVersionResource, namespace, selector string) ([]*follower, error) {
	untyped, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	partial, err := metadata.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	typed, err := typedInformer(config, followed)
	if err != nil {
		return nil, err
	}
	selected, err := labels.Parse(selector)
	if err != nil {
		return nil, err
	}
	restrict := func(options *metav1.ListOptions) { options.LabelSelector = selector }
	dynamicInformer := func(namespace string, tweak dynamicinformer.TweakListOptionsFunc) cache.SharedIndexInformer {
		return dynamicinformer.NewFilteredDynamicInformer(untyped, followed, namespace, 0, cache.Indexers{}, tweak).Informer()
	}
	metadataInformer := func(tweak metadatainformer.TweakListOptionsFunc) cache.SharedIndexInformer {
		return metadatainformer.NewFilteredMetadataInformer(partial, followed, "", 0, cache.Indexers{}, tweak).Informer()
	}
	all := labels.Everything()
	followers := []*follower{
		{name: "typed", informer: typed, selector: all},
		{name: "dynamic", informer: dynamicInformer("", nil), selector: all},
		{name: "dynamic, one namespace", informer: dynamicInformer(namespace, nil), namespace: namespace, selector: all},
		{name: "dynamic, by label", informer: dynamicInformer("", restrict), selector: selected},
		{name: "metadata", informer: metadataInformer(nil), selector: all},
		{name: "metadata, by label", informer: metadataInformer(restrict), selector: selected},
	}
	for _, f := range followers {
		err = errors.Join(err, f.informer.SetTransform(withoutKind))
	}
	return followers, err
}

// withoutKind evens out what decoding into types leaves of a kind: nothing in events, and in lists what
// each item says, which custom resources' do in JSON. client-go's own check of streaming lists compares
// the two.
func withoutKind(object any) (any, error) {
	switch object := object.(type) {
	case *flunder:
		object.TypeMeta = metav1.TypeMeta{}
	case *metav1.PartialObjectMetadata:
		object.TypeMeta = metav1.TypeMeta{}
	}
	return object, nil
}

func (f *follower) handler() cache.ResourceEventHandler {
	f.told = map[string]string{}
	note := func(object any, change func(key, version string)) {
		if last, ok := object.(cache.DeletedFinalStateUnknown); ok {
			object = last.Obj
		}
		accessor, err := meta.Accessor(object)
		if err != nil {
			panic(err)
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		f.received++
		change(accessor.GetNamespace()+"/"+accessor.GetName(), accessor.GetResourceVersion())
	}
	set := func(key, version string) { f.told[key] = version }
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { note(object, set) },
		UpdateFunc: func(_, object any) { note(object, set) },
		DeleteFunc: func(object any) { note(object, func(key, _ string) { delete(f.told, key) }) },
	}
}

// state is what the informer's store has, name by version.
func (f *follower) state() map[string]string {
	held := map[string]string{}
	for _, object := range f.informer.GetStore().List() {
		if accessor, err := meta.Accessor(object); err == nil {
			held[accessor.GetNamespace()+"/"+accessor.GetName()] = accessor.GetResourceVersion()
		}
	}
	return held
}

// compare reads the objects once, in pages, and waits until all informers have the same.
func compare(ctx context.Context, client dynamic.NamespaceableResourceInterface, followers []*follower) (string, error) {
	var list []metav1.Object
	pages := pager.New(func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
		return client.List(ctx, options)
	})
	err := pages.EachListItem(ctx, metav1.ListOptions{}, func(object runtime.Object) error {
		accessor, err := meta.Accessor(object)
		list = append(list, accessor)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("the list to compare with: %w", err)
	}
	deadline, received := time.Now().Add(equalWithin), 0
	for _, f := range followers {
		wanted := map[string]string{}
		for _, object := range list {
			if (f.namespace == "" || f.namespace == object.GetNamespace()) && f.selector.Matches(labels.Set(object.GetLabels())) {
				wanted[object.GetNamespace()+"/"+object.GetName()] = object.GetResourceVersion()
			}
		}
		for !f.agrees(wanted) {
			if time.Now().After(deadline) {
				return "", fmt.Errorf("the %s informer differs from a list of %d objects after %s:\n%s", f.name, len(wanted), equalWithin, f.differences(wanted))
			}
			select {
			case <-ctx.Done():
				return "", ctx.Err()
			case <-time.After(20 * time.Millisecond):
			}
		}
		f.mu.Lock()
		received += f.received
		f.mu.Unlock()
	}
	return fmt.Sprintf("equal: %d informers, %d objects, %d events", len(followers), len(list), received), nil
}

// agrees compares the store, and what the events have told.
func (f *follower) agrees(wanted map[string]string) bool {
	if !f.informer.HasSynced() || !maps.Equal(f.state(), wanted) {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Equal(f.told, wanted)
}

// differences names at most ten objects.
func (f *follower) differences(wanted map[string]string) string {
	held := f.state()
	f.mu.Lock()
	defer f.mu.Unlock()
	keys := map[string]bool{}
	for _, state := range []map[string]string{wanted, held, f.told} {
		for key := range state {
			if wanted[key] != held[key] || wanted[key] != f.told[key] {
				keys[key] = true
			}
		}
	}
	lines := []string{fmt.Sprintf("synced: %t, %d objects differ", f.informer.HasSynced(), len(keys))}
	for _, key := range slices.Sorted(maps.Keys(keys))[:min(10, len(keys))] {
		lines = append(lines, fmt.Sprintf("%s: list %q, store %q, events %q", key, wanted[key], held[key], f.told[key]))
	}
	return strings.Join(lines, "\n")
}

// forgotten expects 410, as an answer or as the first event.
func forgotten(ctx context.Context, client dynamic.NamespaceableResourceInterface, version string) (string, error) {
	events, err := client.Watch(ctx, metav1.ListOptions{ResourceVersion: version})
	if err == nil {
		defer events.Stop()
		select {
		case event := <-events.ResultChan():
			if event.Type != watch.Error {
				return "", fmt.Errorf("a watch from %s begins with %s", version, event.Type)
			}
			err = apierrors.FromObject(event.Object)
		case <-time.After(equalWithin):
			err = errors.New("nothing comes")
		}
	}
	if !apierrors.IsResourceExpired(err) && !apierrors.IsGone(err) {
		return "", fmt.Errorf("a watch from %s should have ended with 410: %w", version, err)
	}
	return "forgotten: " + version, nil
}
