package main

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// forbidden are the ways to a network, to another program or process, and to more rights.
var forbidden = append([]uint32{
	unix.SYS_SOCKET, unix.SYS_SOCKETPAIR, unix.SYS_CONNECT, unix.SYS_BIND, unix.SYS_IO_URING_SETUP,
	unix.SYS_EXECVE, unix.SYS_EXECVEAT, unix.SYS_CLONE3,
	unix.SYS_PTRACE, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV, unix.SYS_PIDFD_OPEN, unix.SYS_PIDFD_GETFD,
	unix.SYS_KILL, unix.SYS_PIDFD_SEND_SIGNAL, unix.SYS_RT_SIGQUEUEINFO, unix.SYS_RT_TGSIGQUEUEINFO,
	unix.SYS_UNSHARE, unix.SYS_SETNS, unix.SYS_CHROOT, unix.SYS_PIVOT_ROOT, unix.SYS_MOUNT, unix.SYS_UMOUNT2,
	unix.SYS_OPEN_TREE, unix.SYS_MOVE_MOUNT, unix.SYS_FSOPEN, unix.SYS_MOUNT_SETATTR, unix.SYS_OPEN_BY_HANDLE_AT,
	unix.SYS_BPF, unix.SYS_PERF_EVENT_OPEN, unix.SYS_USERFAULTFD, unix.SYS_MEMFD_CREATE,
	unix.SYS_ADD_KEY, unix.SYS_REQUEST_KEY, unix.SYS_KEYCTL,
	unix.SYS_INIT_MODULE, unix.SYS_FINIT_MODULE, unix.SYS_KEXEC_LOAD, unix.SYS_REBOOT, unix.SYS_SYSLOG,
	unix.SYS_SHMGET, unix.SYS_MSGGET, unix.SYS_SEMGET, unix.SYS_MQ_OPEN,
}, forbiddenHere...)

// Offsets into what a filter sees of a system call.
const (
	offsetNumber   = 0
	offsetArch     = 4
	offsetArgument = 16
)

// seccomp forbids system calls to all threads, and tells whether it did.
func seccomp() bool {
	program := filter()
	given := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	_, _, failed := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC,
		uintptr(unsafe.Pointer(&given)))
	return failed == 0
}

// filter refuses what is forbidden, system calls of another architecture, and new processes; new threads are allowed.
func filter() []unix.SockFilter {
	const (
		load   = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		equal  = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		beyond = unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K
		has    = unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K
		end    = unix.BPF_RET | unix.BPF_K
		refuse = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
	)
	found := []unix.SockFilter{
		{Code: load, K: offsetArch},
		{Code: equal, K: architecture, Jt: 1},
		{Code: end, K: unix.SECCOMP_RET_KILL_PROCESS},
		{Code: load, K: offsetNumber},
		// The second set of numbers of x86.
		{Code: beyond, K: 0x40000000, Jf: 1},
		{Code: end, K: refuse},
	}
	for _, number := range forbidden {
		found = append(found, unix.SockFilter{Code: equal, K: number, Jf: 1}, unix.SockFilter{Code: end, K: refuse})
	}
	return append(found,
		unix.SockFilter{Code: equal, K: unix.SYS_CLONE, Jf: 3},
		unix.SockFilter{Code: load, K: offsetArgument},
		unix.SockFilter{Code: has, K: unix.CLONE_THREAD, Jt: 1},
		unix.SockFilter{Code: end, K: refuse},
		unix.SockFilter{Code: end, K: unix.SECCOMP_RET_ALLOW},
	)
}
