package main

import (
	"cmp"
	"slices"

	"github.com/fluxcd/pkg/ssa"
	"github.com/fluxcd/pkg/ssa/utils"
)

// rank is the place of each kind in Flux's order; of those that it does not name, the middle.
var rank = func() map[string]int {
	found := map[string]int{}
	for place, kind := range ssa.ReconcileOrder.First {
		found[kind] = place - len(ssa.ReconcileOrder.First)
	}
	for place, kind := range ssa.ReconcileOrder.Last {
		found[kind] = place + 1
	}
	return found
}()

// inOrder sorts objects as Flux applies them: definitions, then classes, then all others, each by kind.
func inOrder(objects []built) {
	slices.SortStableFunc(objects, func(a, b built) int {
		first, second := a.GroupVersionKind(), b.GroupVersionKind()
		return cmp.Or(
			cmp.Compare(stage(a), stage(b)),
			cmp.Compare(rank[first.Kind], rank[second.Kind]),
			cmp.Compare(first.Group, second.Group),
			cmp.Compare(first.Kind, second.Kind),
			cmp.Compare(a.GetNamespace(), b.GetNamespace()),
			cmp.Compare(a.GetName(), b.GetName()),
		)
	})
}

func stage(each built) int {
	switch {
	case utils.IsClusterDefinition(each.Unstructured):
		return 0
	case utils.IsClassDefinition(each.Unstructured):
		return 1
	default:
		return 2
	}
}
