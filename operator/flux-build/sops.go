package main

import (
	"bytes"
	"encoding/base64"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	flux "github.com/fluxcd/kustomize-controller/api/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/api/types"
)

// marks are by what Flux knows an encrypted file, by its format.
var marks = map[string][]byte{
	"binary": []byte(`"mac": "ENC[`),
	"dotenv": []byte("sops_mac=ENC["),
	"ini":    []byte("[sops]"),
	"json":   []byte(`"mac": "ENC[`),
	"yaml":   []byte("mac: ENC["),
}

func (r *request) decrypts() bool {
	return r.Kustomization.Spec.Decryption != nil && r.Kustomization.Spec.Decryption.Provider == "sops"
}

// encrypted tells why an object is known to Flux only; empty where it is not.
func (r *request) encrypted(res *resource.Resource) string {
	if !r.decrypts() || isDecryptionDisabled(res.GetAnnotations()) {
		return ""
	}
	if field := res.Field("sops"); !field.IsNilOrEmpty() && !field.Value.Field("mac").IsNilOrEmpty() {
		return "it is encrypted with SOPS"
	}
	if res.GetKind() != "Secret" {
		return ""
	}
	for _, value := range res.GetDataMap() {
		data, err := base64.StdEncoding.DecodeString(value)
		for _, mark := range marks {
			if err == nil && bytes.Contains(data, mark) {
				return "a value in it is encrypted with SOPS"
			}
		}
	}
	return ""
}

func isDecryptionDisabled(annotations map[string]string) bool {
	return strings.EqualFold(annotations[flux.GroupVersion.Group+"/decrypt"], flux.DisabledValue)
}

func isEncryptedSecret(found *unstructured.Unstructured) bool {
	_, encrypted, _ := unstructured.NestedFieldNoCopy(found.Object, "sops")
	return encrypted && found.GetKind() == "Secret" && found.GetAPIVersion() == "v1" &&
		!isDecryptionDisabled(found.GetAnnotations())
}

// encryptedSource finds a file that Flux decrypts before it builds: what comes of it has another name and content.
func (r *request) encryptedSource(root, dir string) string {
	if !r.decrypts() {
		return ""
	}
	disk := secure(root)
	for folder, settings := range kustomizations(disk, dir) {
		formats := sources(settings)
		for _, file := range slices.Sorted(maps.Keys(formats)) {
			path := filepath.Join(folder, file)
			if content, err := disk.ReadFile(path); err == nil && bytes.Contains(content, marks[formats[file]]) {
				inside, _ := filepath.Rel(root, path)
				return inside
			}
		}
	}
	return ""
}

// sources are the files of a kustomization that Flux decrypts, and the format in which it does.
func sources(settings types.Kustomization) map[string]string {
	found := map[string]string{}
	for _, generator := range settings.SecretGenerator {
		for _, file := range generator.FileSources {
			key, path, named := strings.Cut(file, "=")
			if !named {
				path = key
			}
			found[path] = format(key)
		}
		for _, file := range generator.EnvSources {
			found[file] = format(file)
			if found[file] == "binary" {
				found[file] = "dotenv"
			}
		}
	}
	for _, patch := range settings.Patches {
		if patch.Path != "" {
			found[patch.Path] = format(patch.Path)
		}
	}
	return found
}

// format is how SOPS writes a file, by its name.
func format(name string) string {
	switch filepath.Ext(name) {
	case ".yaml", ".yml":
		return "yaml"
	case ".json":
		return "json"
	case ".env":
		return "dotenv"
	case ".ini":
		return "ini"
	default:
		return "binary"
	}
}
