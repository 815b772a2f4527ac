package main

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// flunder is a type as a code generator would make it, with what its spec has in all versions.
type flunder struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec struct {
		Reference        string `json:"reference,omitempty"`
		FlunderReference string `json:"flunderReference,omitempty"`
		FischerReference string `json:"fischerReference,omitempty"`
		ReferenceType    string `json:"referenceType,omitempty"`
	} `json:"spec,omitempty"`
}

type flunderList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []flunder `json:"items"`
}

func (f *flunder) DeepCopyObject() runtime.Object {
	return &flunder{TypeMeta: f.TypeMeta, ObjectMeta: *f.ObjectMeta.DeepCopy(), Spec: f.Spec}
}

func (l *flunderList) DeepCopyObject() runtime.Object {
	list := &flunderList{TypeMeta: l.TypeMeta, ListMeta: *l.ListMeta.DeepCopy()}
	for i := range l.Items {
		list.Items = append(list.Items, *l.Items[i].DeepCopyObject().(*flunder))
	}
	return list
}

// typedInformer decodes into Go types, as the informers of generated clients do.
func typedInformer(config *rest.Config, followed schema.GroupVersionResource) (cache.SharedIndexInformer, error) {
	scheme, version := runtime.NewScheme(), followed.GroupVersion()
	scheme.AddKnownTypeWithName(version.WithKind("Flunder"), &flunder{})
	scheme.AddKnownTypeWithName(version.WithKind("FlunderList"), &flunderList{})
	metav1.AddToGroupVersion(scheme, version)

	config = rest.CopyConfig(config)
	config.GroupVersion = &version
	config.APIPath = "/apis"
	config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	client, err := rest.RESTClientFor(config)
	if err != nil {
		return nil, err
	}
	source := cache.NewListWatchFromClient(client, followed.Resource, metav1.NamespaceAll, fields.Everything())
	options := cache.SharedIndexInformerOptions{}
	return cache.NewSharedIndexInformerWithOptions(source, &flunder{}, options), nil
}
