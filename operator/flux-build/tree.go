package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/fluxcd/pkg/sourceignore"
	"github.com/fluxcd/pkg/sourceignore/gitignore"
	"github.com/fluxcd/pkg/tar"
)

// What a tree may come to. Flux itself has no limit.
const (
	mostBytes = 128 << 20
	mostFiles = 100_000
	deepest   = 200
)

var errFull = errors.New("too much")

// allowance is what is left of the limits.
type allowance struct {
	bytes, files int64
	what         string
}

func (a *allowance) take(size int64) error {
	a.files--
	a.bytes -= max(size, 0)
	switch {
	case a.files < 0:
		return unknown{reasonCostly, fmt.Sprintf("%s holds more than %d files", a.what, mostFiles)}
	case a.bytes < 0:
		return unknown{reasonCostly, fmt.Sprintf("%s comes to more than %d MiB", a.what, mostBytes>>20)}
	}
	return nil
}

// unpack extracts an artifact as Flux does: no links, nothing outside.
func unpack(archive, root string) error {
	file, err := os.Open(archive)
	if err != nil {
		return unknown{reasonStopped, "the artifact cannot be opened"}
	}
	defer file.Close()
	left := &allowance{mostBytes, mostFiles, "the artifact"}
	var full error
	err = tar.Untar(reader{file, &full}, root, tar.WithMaxUntarSize(tar.UnlimitedUntarSize),
		tar.WithFilter(func(name string, info fs.FileInfo) bool {
			if strings.Count(name, "/") > deepest {
				full = unknown{reasonCostly, fmt.Sprintf("the artifact is deeper than %d folders", deepest)}
			} else if full == nil {
				full = left.take(info.Size())
			}
			return full != nil
		}))
	if full != nil {
		return full
	}
	return err
}

// reader ends where there is an error.
type reader struct {
	io.Reader
	err *error
}

func (r reader) Read(into []byte) (int, error) {
	if *r.err != nil {
		return 0, errFull
	}
	return r.Reader.Read(into)
}

// pack copies the plain files of a checkout that source-controller would put into the artifact. What the source's
// spec.ignore says is not known here.
func pack(checkout, root string) error {
	domain := strings.Split(checkout, string(filepath.Separator))
	patterns, err := ignorePatterns(checkout, domain)
	if err != nil {
		return err
	}
	matcher := sourceignore.NewDefaultMatcher(patterns, domain)
	if len(patterns) > 0 {
		matcher = sourceignore.NewMatcher(append(sourceignore.VCSPatterns(domain), patterns...))
	}
	left := &allowance{mostBytes, mostFiles, "the checkout"}
	return filepath.WalkDir(checkout, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || (entry.IsDir() && entry.Name() == ".git") {
			return errors.Join(err, skipped(entry))
		}
		if !(entry.IsDir() || entry.Type().IsRegular()) || matcher.Match(strings.Split(path, string(filepath.Separator)), entry.IsDir()) {
			return nil
		}
		to := filepath.Join(root, strings.TrimPrefix(path, checkout))
		if entry.IsDir() {
			return os.MkdirAll(to, 0o700)
		}
		return copyFile(path, to, left)
	})
}

// skipped passes Git's own data over, which are no part of an artifact.
func skipped(entry fs.DirEntry) error {
	if entry != nil && entry.IsDir() {
		return fs.SkipDir
	}
	return nil
}

// ignorePatterns reads the plain files .sourceignore: those of a folder before those below it.
func ignorePatterns(folder string, domain []string) ([]gitignore.Pattern, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	var own, below []gitignore.Pattern
	for _, entry := range entries {
		path := filepath.Join(folder, entry.Name())
		inside := append(append([]string{}, domain...), entry.Name())
		switch {
		case entry.IsDir() && entry.Name() != ".git":
			found, err := ignorePatterns(path, inside)
			if err != nil {
				return nil, err
			}
			below = append(below, found...)
		case entry.Type().IsRegular() && entry.Name() == sourceignore.IgnoreFile:
			if own, err = sourceignore.ReadIgnoreFile(path, append([]string{}, domain...)); err != nil {
				return nil, err
			}
		}
	}
	return append(own, below...), nil
}

func copyFile(from, to string, left *allowance) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	info, err := source.Stat()
	if err != nil {
		return err
	}
	if err := left.take(info.Size()); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	target, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(target, io.LimitReader(source, info.Size()))
	return errors.Join(err, target.Close())
}
