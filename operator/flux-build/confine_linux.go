package main

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// confinement is what the kernel enforces, whatever the code does.
type confinement struct {
	// Landlock is the version of the kernel's Landlock by which only the tree can be read and written; 0 without it.
	Landlock int `json:"landlock"`
	// Seccomp says that no socket can be made, no program run and no other process looked into.
	Seccomp bool `json:"seccomp"`
}

// What Landlock lets a build do.
const (
	mayRead  = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR
	mayWrite = mayRead | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_REMOVE_DIR |
		unix.LANDLOCK_ACCESS_FS_REMOVE_FILE | unix.LANDLOCK_ACCESS_FS_MAKE_DIR | unix.LANDLOCK_ACCESS_FS_MAKE_REG
)

// confine gives up all that a build does not need; work may be written, checkout only read, either may be empty.
func confine(work, checkout string) (given confinement) {
	closeInherited()
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("1000"), 0o600)
	if _, _, err := syscall.AllThreadsSyscall(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0); err != 0 {
		return given
	}
	given.Landlock = landlock(work, checkout)
	given.Seccomp = seccomp()
	return given.tried()
}

// tried is what is found to be in force, on a thread that was there before and on one that was not.
func (c confinement) tried() confinement {
	for range 2 {
		found := make(chan confinement)
		go func() {
			// It ends with its thread, so that the next one begins on another.
			runtime.LockOSThread()
			found <- c.triedHere()
		}()
		c = <-found
	}
	return c.triedHere()
}

func (c confinement) triedHere() confinement {
	if handle, err := unix.Open("/proc/self/environ", unix.O_RDONLY|unix.O_CLOEXEC, 0); err == nil {
		_ = unix.Close(handle)
		c.Landlock = 0
	}
	handle, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err == nil {
		_ = unix.Close(handle)
	}
	if err != unix.EPERM || unix.Exec("/", nil, nil) != unix.EPERM {
		c.Seccomp = false
	}
	return c
}

// limit bounds this process; the kernel ends it where it needs more.
func limit(memory, seconds uint64) {
	// Not RLIMIT_AS: Go reserves far more addresses than it uses.
	for kind, most := range map[int]uint64{
		unix.RLIMIT_DATA: memory, unix.RLIMIT_CPU: seconds, unix.RLIMIT_FSIZE: mostBytes, unix.RLIMIT_CORE: 0,
	} {
		var now unix.Rlimit
		if unix.Getrlimit(kind, &now) == nil {
			most = min(most, now.Max)
			_ = unix.Setrlimit(kind, &unix.Rlimit{Cur: most, Max: most})
		}
	}
}

// closeInherited closes what a parent left open, other than the three standard streams and what Go has opened itself.
func closeInherited() {
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return
	}
	for _, name := range names {
		number, err := strconv.Atoi(name.Name())
		if err != nil || number <= 2 {
			continue
		}
		link, _ := os.Readlink("/proc/self/fd/" + name.Name())
		if !strings.HasPrefix(link, "anon_inode:[event") && link != os.DevNull {
			_ = unix.Close(number)
		}
	}
}

// landlock closes the file system but for two folders, TCP, and the sockets and signals of others; it returns the
// version in force, 0 where there is none.
func landlock(work, checkout string) int {
	const version = 1 // LANDLOCK_CREATE_RULESET_VERSION
	abi, _, failed := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, version)
	if failed != 0 {
		return 0
	}
	rules, size := handled(int(abi))
	ruleset, _, failed := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&rules)), size, 0)
	if failed != 0 {
		return 0
	}
	defer unix.Close(int(ruleset))
	write := uint64(mayWrite)
	if abi >= 3 {
		write |= unix.LANDLOCK_ACCESS_FS_TRUNCATE
	}
	if !allow(ruleset, work, write) || !allow(ruleset, checkout, mayRead) {
		return 0
	}
	if _, _, failed := syscall.AllThreadsSyscall(unix.SYS_LANDLOCK_RESTRICT_SELF, ruleset, 0, 0); failed != 0 {
		return 0
	}
	return int(abi)
}

// handled is everything that a version of Landlock can forbid, and the size of the structure that says so.
func handled(abi int) (unix.LandlockRulesetAttr, uintptr) {
	files := 13
	for _, since := range []int{2, 3, 5} {
		if abi >= since {
			files++
		}
	}
	rules := unix.LandlockRulesetAttr{Access_fs: 1<<files - 1}
	if abi < 4 {
		return rules, 8
	}
	rules.Access_net = unix.LANDLOCK_ACCESS_NET_BIND_TCP | unix.LANDLOCK_ACCESS_NET_CONNECT_TCP
	if abi < 6 {
		return rules, 16
	}
	rules.Scoped = unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | unix.LANDLOCK_SCOPE_SIGNAL
	return rules, 24
}

func allow(ruleset uintptr, folder string, access uint64) bool {
	if folder == "" {
		return true
	}
	handle, err := unix.Open(folder, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(handle)
	rule := unix.LandlockPathBeneathAttr{Allowed_access: access, Parent_fd: int32(handle)}
	_, _, failed := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, ruleset, unix.LANDLOCK_RULE_PATH_BENEATH,
		uintptr(unsafe.Pointer(&rule)), 0, 0, 0)
	return failed == 0
}
