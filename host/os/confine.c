#include "os/confine.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- Landlock ---------------------------------------------------------------------------------------------------- */

/* Headers may be older than the kernel: landlock(7). */
#define RIGHT_REFER (1ULL << 13)    /* to link and rename between folders, since ABI 2; forbidden before */
#define RIGHT_TRUNCATE (1ULL << 14) /* since ABI 3 */
#define ABI_WITH_REFER 2            /* a store that cannot link between folders is none */

#define RIGHTS_MAKE                                                                                                    \
  (LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR |                      \
   LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SYM)
/* Nobody needs these, anywhere. */
#define RIGHTS_NEVER                                                                                                   \
  (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK |                         \
   LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO)

static int32_t allow(int ruleset, const char *path, uint64_t rights, struct ome_err *err) {
  struct landlock_path_beneath_attr rule = {.allowed_access = rights};
  _cleanup_close_ int fd = open(path, O_PATH | O_CLOEXEC);

  rule.parent_fd = fd;
  if (fd < 0 || syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0)
    return fail_errno(err, "confine", path);
  return OME_OK;
}

static int32_t restrict_files(const char *const *writable, long abi, struct ome_err *err) {
  uint64_t file = LANDLOCK_ACCESS_FS_WRITE_FILE | (abi >= 3 ? RIGHT_TRUNCATE : 0);
  uint64_t below = file | RIGHTS_MAKE | RIGHT_REFER;
  const struct landlock_ruleset_attr attr = {.handled_access_fs = below | RIGHTS_NEVER};
  _cleanup_close_ int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr.handled_access_fs), 0);

  if (ruleset < 0)
    return fail_errno(err, "confine", "landlock_create_ruleset");
  int32_t rc = allow(ruleset, "/dev/null", file, err);
  for (; rc == OME_OK && *writable; writable++)
    rc = allow(ruleset, *writable, below, err);
  if (rc == OME_OK && syscall(SYS_landlock_restrict_self, ruleset, 0) != 0)
    rc = fail_errno(err, "confine", "landlock_restrict_self");
  return rc;
}

/* ---- seccomp ----------------------------------------------------------------------------------------------------- */

/* What reaches into other processes, the kernel or the mounts, or becomes another program. */
static const uint32_t refused[] = {
#ifndef __SANITIZE_ADDRESS__ /* LeakSanitizer looks at its own threads by it */
    SYS_ptrace,
#endif
    SYS_execve,
    SYS_execveat,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_mount,
    SYS_umount2,
    SYS_pivot_root,
    SYS_chroot,
    SYS_setns,
    SYS_unshare,
    SYS_bpf,
    SYS_perf_event_open,
    SYS_userfaultfd,
    SYS_keyctl,
    SYS_add_key,
    SYS_request_key,
    SYS_init_module,
    SYS_finit_module,
    SYS_delete_module,
    SYS_kexec_load,
    SYS_reboot,
    SYS_swapon,
    SYS_swapoff,
    SYS_acct,
    SYS_quotactl,
    SYS_settimeofday,
    SYS_clock_settime,
    SYS_sethostname,
    SYS_setdomainname,
    SYS_mknodat,
    SYS_fanotify_init,
    SYS_name_to_handle_at,
    SYS_open_by_handle_at,
    SYS_personality,
};

#if defined(__x86_64__)
#define OWN_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define OWN_ARCH AUDIT_ARCH_AARCH64
#endif

#ifdef OWN_ARCH
#define X32_BIT 0x40000000u /* other numbers for the same calls, on x86-64 */

/* Calls of another architecture have other numbers: none is made here. */
static bool refuse_calls(void) {
  struct sock_filter program[COUNT(refused) + 8];
  unsigned short n = 0;
  const uint32_t refuse = SECCOMP_RET_ERRNO | EPERM;

  program[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
  program[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, OWN_ARCH, 1, 0);
  program[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, refuse);
  program[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
  program[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, X32_BIT, (uint8_t)(COUNT(refused) + 1), 0);
  for (size_t i = 0; i < COUNT(refused); i++)
    program[n++] =
        (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, refused[i], (uint8_t)(COUNT(refused) - i), 0);
  program[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  program[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, refuse);
  const struct sock_fprog filter = {.len = n, .filter = program};
  return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) == 0;
}
#else
static bool refuse_calls(void) {
  errno = ENOSYS;
  return false;
}
#endif

/* ---- both -------------------------------------------------------------------------------------------------------- */

int32_t confine_process(const char *const *writable, char said[CONFINE_SAID], struct ome_err *err) {
  long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
  int32_t rc = OME_OK;
  char files[80], calls[80];

  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
    return fail_errno(err, "confine", "no_new_privs");
  if (abi >= ABI_WITH_REFER)
    rc = restrict_files(writable, abi, err);
  if (rc != OME_OK)
    return rc;
  if (abi >= ABI_WITH_REFER)
    (void)snprintf(files, sizeof(files), "Landlock (ABI %ld)", abi);
  else
    (void)snprintf(files, sizeof(files), "no Landlock (the kernel has %s)", abi > 0 ? "an older one" : "none");
  (void)snprintf(calls, sizeof(calls), "%s", refuse_calls() ? "seccomp" : "no seccomp (the kernel has none)");
  (void)snprintf(said, CONFINE_SAID, "%s, %s", files, calls);
  return OME_OK;
}
