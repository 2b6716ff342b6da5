package main

import (
	"iter"
	"path/filepath"

	"github.com/fluxcd/pkg/kustomize/filesys"
	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/types"
	kustomize "sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// kustomizations are those that a build reaches from a folder, each with its own folder; what cannot be read is passed
// over, since the build itself says so.
func kustomizations(disk kustomize.FileSystem, dir string) iter.Seq2[string, types.Kustomization] {
	return func(yield func(string, types.Kustomization) bool) {
		seen, ahead := map[string]bool{}, []string{dir}
		for len(ahead) > 0 {
			folder := ahead[0]
			ahead = ahead[1:]
			if seen[folder] {
				continue
			}
			seen[folder] = true
			settings := settingsIn(disk, folder)
			if !yield(folder, settings) {
				return
			}
			for _, each := range bases(settings) {
				ahead = append(ahead, filepath.Join(folder, each))
			}
		}
	}
}

func bases(settings types.Kustomization) []string {
	return append(append(append([]string{}, settings.Resources...), settings.Bases...), settings.Components...)
}

func settingsIn(disk kustomize.FileSystem, folder string) (found types.Kustomization) {
	for _, name := range konfig.RecognizedKustomizationFileNames() {
		if content, err := disk.ReadFile(filepath.Join(folder, name)); err == nil {
			_ = yaml.Unmarshal(content, &found)
		}
	}
	return found
}

// secure is Flux's file system: it refuses what is not below the root.
func secure(root string) kustomize.FileSystem {
	disk, err := filesys.MakeFsOnDiskSecure(root)
	if err != nil {
		return kustomize.MakeEmptyDirInMemory()
	}
	return disk
}
