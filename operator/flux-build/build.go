package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	securejoin "github.com/cyphar/filepath-securejoin"
	flux "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/fluxcd/pkg/envsubst"
	generator "github.com/fluxcd/pkg/kustomize"
	"github.com/fluxcd/pkg/ssa"
	"github.com/fluxcd/pkg/ssa/normalize"
	"github.com/fluxcd/pkg/ssa/utils"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/resource"
)

// mostObjects bounds a build.
const mostObjects = 20_000

// request is what is asked for.
type request struct {
	Kustomization flux.Kustomization `json:"kustomization"`
	// Values are all that is substituted, whichever ConfigMap or Secret they come from.
	Values map[string]string `json:"values"`
	// Private are the names of those that come from a Secret.
	Private []string `json:"private"`
	// Strict is Flux's feature gate StrictPostBuildSubstitutions; nil where that is not known.
	Strict *bool `json:"strict"`
}

// built is an object on its way, and what is to be told of it.
type built struct {
	*unstructured.Unstructured
	file    string
	private bool
}

// build writes the objects in the order in which Flux applies them, and returns the digest that Flux notes in its
// history; empty where objects are left out. The order of the steps is kustomize-controller's, as are the errors.
func (r *request) build(root string, out *output) (string, error) {
	root, err := canonical(root, out)
	if err != nil {
		return "", err
	}
	dir, err := securejoin.SecureJoin(root, r.Kustomization.Spec.Path)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(dir); err != nil {
		return "", fmt.Errorf("kustomization path not found: %w", err)
	}
	if spec := &r.Kustomization.Spec; spec.PostBuild != nil {
		spec.PostBuild.Substitute, spec.PostBuild.SubstituteFrom = r.Values, nil
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&r.Kustomization)
	if err != nil {
		return "", err
	}
	kustomization := unstructured.Unstructured{Object: content}
	if _, err := generator.NewGenerator(root, kustomization).WriteFile(dir); err != nil {
		return "", err
	}
	if file := r.encryptedSource(root, dir); file != "" {
		return "", unknown{reasonEncrypted, file + ": is encrypted, and what is generated from it depends on its content"}
	}
	found, err := generator.SecureBuild(root, dir, false)
	if err != nil {
		return "", fmt.Errorf("kustomize build failed: %w", remote.explained(err, root, dir))
	}
	objects, digest, err := r.finish(found, kustomization, originsOf(found, root, dir), out)
	if err != nil {
		return "", err
	}
	for _, each := range objects {
		out.line(object{each.Object, each.file, each.private})
	}
	return digest, nil
}

// canonical is the root without links above it; nobody is told where it lies.
func canonical(root string, out *output) (string, error) {
	if err := os.MkdirAll(root, 0o700); err != nil {
		return "", err
	}
	found, err := securejoin.SecureJoin("/", root)
	above := filepath.Dir(found)
	out.hide = strings.NewReplacer(found+"/", "", found, ".", root+"/", "", root, ".", above+"/", "../", above, "..")
	return found, err
}

// finish does what Flux does between kustomize and the API server.
func (r *request) finish(
	found resmap.ResMap, kustomization unstructured.Unstructured, files origins, out *output,
) ([]built, string, error) {
	if found.Size() > mostObjects {
		return nil, "", unknown{reasonCostly, fmt.Sprintf("more than %d objects", mostObjects)}
	}
	digest, known := sha256.New(), true
	var objects []built
	for place, res := range found.Resources() {
		if res.GetName() == "" || res.GetKind() == "" || res.GetApiVersion() == "" {
			return nil, "", fmt.Errorf("failed to decode Kubernetes apiVersion, kind and name from: %s", identity(res))
		}
		file := files.of(place, res)
		if why := r.encrypted(res); why != "" {
			known = false
			out.line(leftOut{identity(res), file, why})
			continue
		}
		private, err := r.substitute(kustomization, found, res)
		if err != nil {
			return nil, "", err
		}
		text, err := res.AsYAML()
		if err != nil {
			return nil, "", fmt.Errorf("kustomize build failed: %w", concealed(private, err))
		}
		if place > 0 {
			digest.Write([]byte("---\n"))
		}
		digest.Write(text)
		read, err := utils.ReadObjects(bytes.NewReader(text))
		if err != nil {
			return nil, "", concealed(private, err)
		}
		for _, each := range read {
			objects = append(objects, built{each, file, private})
		}
	}
	if err := r.normalize(objects); err != nil {
		return nil, "", err
	}
	inOrder(objects)
	if !known {
		return objects, "", nil
	}
	return objects, fmt.Sprintf("sha256:%x", digest.Sum(nil)), nil
}

// substitute puts values into one object and tells whether one of a Secret was asked for.
func (r *request) substitute(
	kustomization unstructured.Unstructured, all resmap.ResMap, res *resource.Resource,
) (bool, error) {
	post := r.Kustomization.Spec.PostBuild
	if post == nil {
		return false, nil
	}
	private := r.asksPrivate(res)
	always := r.Kustomization.GetSubstituteStrategy() == flux.SubstituteStrategyAlways
	run := func(strict bool) (*resource.Resource, error) {
		return generator.SubstituteVariables(context.Background(), nil, kustomization, res,
			generator.SubstituteWithDryRun(true), generator.SubstituteWithAlways(always), generator.SubstituteWithStrict(strict))
	}
	changed, err := run(r.Strict == nil || *r.Strict)
	name := fmt.Sprintf("'%s/%s'", res.GetGvk(), res.GetName())
	if err != nil && r.Strict == nil {
		if _, lenient := run(false); lenient == nil {
			return private, unknown{reasonStrict, fmt.Sprintf("%s: %v", name, err)}
		}
	}
	if err != nil {
		return private, fmt.Errorf("post build failed for %s: %w", name, concealed(private, err))
	}
	if changed != nil {
		if _, err = all.Replace(res); err != nil {
			return private, concealed(private, err)
		}
	}
	return private, nil
}

// asksPrivate tells whether an object names a value that comes from a Secret.
func (r *request) asksPrivate(res *resource.Resource) bool {
	if len(r.Private) == 0 {
		return false
	}
	text, err := res.AsYAML()
	if err != nil {
		return true
	}
	secret := map[string]bool{}
	for _, name := range r.Private {
		secret[name] = true
	}
	private := false
	_, err = envsubst.Eval(string(text), func(name string) (string, bool) {
		private = private || secret[name]
		return r.Values[name], true
	})
	return private || err != nil
}

// concealed hides what an error may quote of a Secret's value.
func concealed(private bool, err error) error {
	if private {
		return errors.New("not shown, as it may hold a Secret's value")
	}
	return err
}

// normalize makes of the objects what Flux sends to the API server.
func (r *request) normalize(objects []built) error {
	plain, private := make([]*unstructured.Unstructured, len(objects)), false
	for place, each := range objects {
		plain[place], private = each.Unstructured, private || each.private
	}
	owner := ssa.Owner{Field: "kustomize-controller", Group: flux.GroupVersion.Group}
	ssa.NewResourceManager(nil, nil, owner).SetOwnerLabels(plain, r.Kustomization.Name, r.Kustomization.Namespace)
	if err := normalize.UnstructuredList(plain); err != nil {
		return concealed(private, err)
	}
	if common := r.Kustomization.Spec.CommonMetadata; common != nil {
		utils.SetCommonMetadata(plain, common.Labels, common.Annotations)
	}
	for _, each := range plain {
		if isEncryptedSecret(each) {
			return fmt.Errorf("%s is SOPS encrypted, configuring decryption is required for this secret to be reconciled",
				utils.FmtUnstructured(each))
		}
		utils.RemoveCABundleFromCRD(each)
	}
	return nil
}

// identity is all that is told of an object whose content is nobody's business.
func identity(res *resource.Resource) json.RawMessage {
	meta := map[string]string{"name": res.GetName(), "namespace": res.GetNamespace()}
	found, _ := json.Marshal(map[string]any{"apiVersion": res.GetApiVersion(), "kind": res.GetKind(), "metadata": meta})
	return found
}
