#include "plugin/elf.h"

#include <elf.h>
#include <string.h>

#if defined(__x86_64__)
#define MACHINE EM_X86_64
#elif defined(__aarch64__)
#define MACHINE EM_AARCH64
#endif

static bool inside(size_t len, uint64_t offset, uint64_t size) {
  return offset <= len && size <= len - offset;
}

static int32_t check_segments(const char *path, const Elf64_Ehdr *head, size_t len, struct ome_err *err) {
  const Elf64_Phdr *segments = (const void *)((const char *)head + head->e_phoff);
  bool loads = false;
  bool dynamic = false;

  for (size_t i = 0; i < head->e_phnum; i++) {
    const Elf64_Phdr *s = &segments[i];
    if (s->p_type != PT_LOAD && s->p_type != PT_DYNAMIC)
      continue;
    if (!inside(len, s->p_offset, s->p_filesz))
      return fail(err, OME_E_CORRUPT, "%s: the file is cut off", path);
    loads |= s->p_type == PT_LOAD;
    dynamic |= s->p_type == PT_DYNAMIC;
  }
  if (!loads || !dynamic)
    return fail(err, OME_E_INVALID, "%s: not a shared object", path);
  return OME_OK;
}

int32_t elf_check(const char *path, const void *data, size_t len, struct ome_err *err) {
  const Elf64_Ehdr *head = data;

  if (len < SELFMAG || memcmp(data, ELFMAG, SELFMAG) != 0)
    return fail(err, OME_E_INVALID, "%s: not an ELF file", path);
  if (len < sizeof(*head))
    return fail(err, OME_E_CORRUPT, "%s: the file is cut off", path);
  if (head->e_ident[EI_CLASS] != ELFCLASS64)
    return fail(err, OME_E_UNSUPPORTED, "%s: built for another machine", path);
#ifdef MACHINE
  if (head->e_machine != MACHINE)
    return fail(err, OME_E_UNSUPPORTED, "%s: built for another machine", path);
#endif
  if (head->e_type != ET_DYN)
    return fail(err, OME_E_INVALID, "%s: not a shared object", path);
  if (head->e_phentsize != sizeof(Elf64_Phdr) || head->e_phoff % 8 != 0 ||
      !inside(len, head->e_phoff, (uint64_t)head->e_phnum * sizeof(Elf64_Phdr)))
    return fail(err, OME_E_CORRUPT, "%s: the file is cut off", path);
  return check_segments(path, head, len, err);
}
