// Package main builds what one Flux Kustomization applies, with the code and at the versions of kustomize-controller.
//
// It reads a request from standard input and writes lines of JSON: what confines it, then each object in the order in
// which Flux applies them, or what failed, and last that it is done. Before it reads anything it gives up whatever a
// build does not need.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
)

// mostRequest bounds a request, in bytes; a Kustomization of the API server's is smaller, as are its values.
const mostRequest = 16 << 20

func main() {
	artifact := flag.String("artifact", "", "a tar.gz `FILE` in DIR to build from")
	checkout := flag.String("checkout", "", "a `FOLDER` to build from, as source-controller would pack it")
	memory := flag.Uint64("memory", 384<<20, "`BYTES` of data that may be held")
	seconds := flag.Uint64("seconds", 50, "`SECONDS` of the processor that may be used")
	versions := flag.Bool("versions", false, "say what it is built from, and how it can be confined here")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: flux-build [OPTION ...] DIR < REQUEST")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() != 1 && !*versions {
		flag.Usage()
		os.Exit(2)
	}
	isolate()
	limit(*memory, *seconds)
	// Collected rarely, which is cheaper, until memory runs short.
	debug.SetGCPercent(400)
	debug.SetMemoryLimit(int64(*memory / 4 * 3))
	work := flag.Arg(0)
	given := confine(work, *checkout)
	if *versions {
		write(os.Stdout, map[string]any{"versions": modules(), "confinement": given})
		return
	}
	out := newOutput(os.Stdout)
	out.line(map[string]any{"confinement": given})
	root := filepath.Join(work, "tree")
	defer os.RemoveAll(root)
	out.end(run(root, *artifact, *checkout, out))
}

// run does the job: a tree, its build, the objects.
func run(root, artifact, checkout string, out *output) (digest string, err error) {
	defer func() {
		if found := recover(); found != nil {
			err = unknown{reasonStopped, fmt.Sprintf("the build stopped: %T", found)}
		}
	}()
	var asked request
	if err := json.NewDecoder(io.LimitReader(os.Stdin, mostRequest)).Decode(&asked); err != nil {
		return "", fmt.Errorf("the Kustomization cannot be read: %w", err)
	}
	if checkout != "" {
		err = pack(checkout, root)
	} else {
		err = unpack(artifact, root)
	}
	if err != nil {
		return "", err
	}
	return asked.build(root, out)
}

// isolate leaves nothing of the surroundings to libraries: no variables, no network, no log.
func isolate() {
	os.Clearenv()
	log.SetOutput(io.Discard)
	http.DefaultTransport = remote
	if null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0); err == nil {
		os.Stderr = null
	}
}

// modules are the versions of what decides how it builds.
func modules() map[string]string {
	found := map[string]string{}
	info, _ := debug.ReadBuildInfo()
	for _, module := range info.Deps {
		if module.Replace != nil {
			module = module.Replace
		}
		switch module.Path {
		case "github.com/fluxcd/kustomize-controller/api", "sigs.k8s.io/kustomize/api":
			found[module.Path] = module.Version
		}
	}
	return found
}
