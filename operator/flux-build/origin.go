package main

import (
	"os"
	"path/filepath"
	"slices"

	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/resid"
	"sigs.k8s.io/yaml"
)

// origins are the files that objects come from, in the order of a build.
type origins struct {
	ids   []resid.ResId
	files []string
}

// of is the file of an object; empty where it is not known.
func (o origins) of(place int, res *resource.Resource) string {
	if place < len(o.ids) && o.ids[place] == res.CurId() {
		return o.files[place]
	}
	return ""
}

// originsOf builds a second time, with kustomize's notes on origins. Flux builds without them, and a patch may meet them,
// so what is applied is never taken from this build. It may fail; then no file is known.
func originsOf(found resmap.ResMap, root, dir string) (result origins) {
	defer func() {
		if recover() != nil {
			result = origins{}
		}
	}()
	noted, err := buildNoted(found, root, dir)
	if err != nil || noted.Size() != found.Size() {
		return origins{}
	}
	where, err := filepath.Rel(root, dir)
	if err != nil {
		return origins{}
	}
	for _, res := range noted.Resources() {
		result.ids = append(result.ids, res.CurId())
		result.files = append(result.files, originOf(res, where))
	}
	return result
}

func buildNoted(found resmap.ResMap, root, dir string) (resmap.ResMap, error) {
	file, content := kustomizationIn(dir)
	var settings types.Kustomization
	if err := yaml.Unmarshal(content, &settings); err != nil {
		return nil, err
	}
	if slices.Contains(settings.BuildMetadata, types.OriginAnnotations) {
		return found, nil
	}
	settings.BuildMetadata = append(settings.BuildMetadata, types.OriginAnnotations)
	content, err := yaml.Marshal(settings)
	if err != nil {
		return nil, err
	}
	disk := secure(root)
	if err := disk.WriteFile(file, content); err != nil {
		return nil, err
	}
	options := &krusty.Options{LoadRestrictions: types.LoadRestrictionsNone, PluginConfig: types.DisabledPluginConfig()}
	return krusty.MakeKustomizer(options).Run(disk, dir)
}

// kustomizationIn is the file that Flux wrote for the build.
func kustomizationIn(dir string) (string, []byte) {
	for _, name := range konfig.RecognizedKustomizationFileNames() {
		file := filepath.Join(dir, name)
		if content, err := os.ReadFile(file); err == nil {
			return file, content
		}
	}
	return "", nil
}

func originOf(res *resource.Resource, where string) string {
	origin, err := res.GetOrigin()
	if err != nil || origin == nil {
		return ""
	}
	named := origin.Path
	if named == "" {
		named = origin.ConfiguredIn
	}
	if named == "" || origin.Repo != "" {
		return ""
	}
	return filepath.Join(where, named)
}
