package main

import (
	"errors"
	"net/http"
	"path/filepath"
	"strings"
)

// noGit is how kustomize's error begins where it would clone a repository, since there is no program here to do it.
const noGit = "no 'git' program on path"

// remote takes the place of the network: it notes what kustomize would fetch, and fetches nothing.
var remote = &refusal{}

type refusal struct{ asked string }

// RoundTrip refuses a request.
func (r *refusal) RoundTrip(request *http.Request) (*http.Response, error) {
	r.asked = request.URL.Redacted()
	return nil, errors.New("no network")
}

// explained tells an error for which something on another server is to blame from Flux's own.
func (r *refusal) explained(err error, root, dir string) error {
	asked := r.asked
	if asked == "" && strings.Contains(err.Error(), noGit) {
		asked = absent(root, dir)
	}
	if asked == "" {
		return err
	}
	return unknown{reasonRemote, asked + ": is on another server; copy it into the repository"}
}

// absent is the first base that is not in the tree.
func absent(root, dir string) string {
	disk := secure(root)
	for folder, settings := range kustomizations(disk, dir) {
		for _, each := range bases(settings) {
			if !disk.Exists(filepath.Join(folder, each)) {
				return each
			}
		}
	}
	return "a base"
}
