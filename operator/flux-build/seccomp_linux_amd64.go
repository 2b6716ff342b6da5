package main

import "golang.org/x/sys/unix"

const architecture = unix.AUDIT_ARCH_X86_64

var forbiddenHere = []uint32{unix.SYS_FORK, unix.SYS_VFORK, unix.SYS_KEXEC_FILE_LOAD}
