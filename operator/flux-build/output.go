package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"syscall"
)

// mostOutput bounds all objects together, in bytes.
const mostOutput = 16 << 20

// Why it cannot be known what Flux builds.
const (
	reasonCostly    = "costly"
	reasonEncrypted = "encrypted"
	reasonRemote    = "remote"
	reasonStopped   = "stopped"
	reasonStrict    = "strict"
)

// unknown is an error that Flux may not meet. All others are Flux's own.
type unknown struct{ reason, message string }

func (u unknown) Error() string { return u.message }

// exhausted are errors of the machine, which say nothing of the manifests.
var exhausted = []error{
	syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.EIO,
}

// object is one that Flux applies, and where it comes from.
type object struct {
	Body any `json:"object"`
	// File is relative to the artifact's root; empty where it is not known.
	File string `json:"file"`
	// Private says that a Secret's value was substituted.
	Private bool `json:"private"`
}

// leftOut is an object that Flux applies and nobody else can know.
type leftOut struct {
	Body any    `json:"leftOut"`
	File string `json:"file"`
	Why  string `json:"why"`
}

// output writes lines of JSON, and what must not be in them: where the build was made.
type output struct {
	to   *bufio.Writer
	left int
	hide *strings.Replacer
}

func newOutput(to io.Writer) *output {
	return &output{bufio.NewWriter(to), mostOutput, strings.NewReplacer()}
}

// line writes one; what does not fit any more is dropped, and `end` says so.
func (o *output) line(value any) {
	counted := &counter{to: o.to, left: o.left}
	write(counted, value)
	o.left = counted.left
}

// end writes how it ended.
func (o *output) end(digest string, err error) {
	var cannot unknown
	switch {
	case o.left < 0:
		o.unknown(unknown{reasonCostly, "the build comes to more than 16 MiB of objects"})
	case err == nil:
		write(o.to, map[string]any{"done": digest})
	case errors.As(err, &cannot):
		o.unknown(cannot)
	case isExhausted(err):
		o.unknown(unknown{reasonCostly, "the machine has no room for the build: " + err.Error()})
	default:
		write(o.to, map[string]any{"failed": o.hide.Replace(err.Error())})
	}
	o.to.Flush()
}

func (o *output) unknown(why unknown) {
	write(o.to, map[string]any{"unknown": why.reason, "message": o.hide.Replace(why.message)})
}

func isExhausted(err error) bool {
	for _, each := range exhausted {
		if errors.Is(err, each) {
			return true
		}
	}
	return false
}

func write(to io.Writer, value any) {
	encoder := json.NewEncoder(to)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(value)
}

// counter passes on what fits.
type counter struct {
	to   io.Writer
	left int
}

func (c *counter) Write(data []byte) (int, error) {
	if c.left -= len(data); c.left < 0 {
		return len(data), nil
	}
	return c.to.Write(data)
}
