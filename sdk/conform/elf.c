/* What the file says about itself, read without running a byte of it. */
#include "internal.h"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct image {
  const unsigned char *data;
  size_t len;
  const Elf64_Sym *symbols;
  size_t nsymbols;
  const Elf64_Dyn *dynamic;
  size_t ndynamic;
  const char *strings; /* ends with NUL */
  size_t strings_len;
};

static bool inside(const struct image *im, uint64_t offset, uint64_t len) {
  return offset <= im->len && len <= im->len - offset;
}

static bool map_file(const char *path, struct image *im, struct verdict *v) {
  struct stat st;
  int fd = open(path, O_RDONLY | O_CLOEXEC);

  if (fd < 0 || fstat(fd, &st) != 0 || st.st_size <= 0) {
    verdict_fail(v, "cannot be read");
    return false;
  }
  void *data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
  (void)close(fd);
  if (data == MAP_FAILED) {
    verdict_fail(v, "cannot be mapped");
    return false;
  }
  *im = (struct image){.data = data, .len = (size_t)st.st_size};
  return true;
}

static bool check_header(const struct image *im, struct verdict *v) {
  const Elf64_Ehdr *head = (const void *)im->data;
  const char *why = NULL;

#if defined(__x86_64__)
  const unsigned machine = EM_X86_64;
#elif defined(__aarch64__)
  const unsigned machine = EM_AARCH64;
#else
  const unsigned machine = im->len >= sizeof(*head) ? head->e_machine : 0;
#endif
  if (im->len < sizeof(*head) || memcmp(head->e_ident, ELFMAG, SELFMAG) != 0)
    why = "not an ELF file";
  else if (head->e_ident[EI_CLASS] != ELFCLASS64 || head->e_machine != machine)
    why = "built for another machine";
  else if (head->e_type != ET_DYN)
    why = "not a shared object";
  else if (head->e_shentsize != sizeof(Elf64_Shdr) ||
           !inside(im, head->e_shoff, (uint64_t)head->e_shnum * sizeof(Elf64_Shdr)))
    why = "its section table is cut off";
  if (why)
    verdict_fail(v, "%s", why);
  return !why;
}

/* The dynamic symbols, their names, and the dynamic section. */
static bool read_sections(struct image *im, struct verdict *v) {
  const Elf64_Ehdr *head = (const void *)im->data;
  const Elf64_Shdr *sections = (const void *)(im->data + head->e_shoff);

  for (size_t i = 0; i < head->e_shnum; i++) {
    const Elf64_Shdr *s = &sections[i];
    if (s->sh_type != SHT_DYNSYM && s->sh_type != SHT_DYNAMIC)
      continue;
    if (!inside(im, s->sh_offset, s->sh_size))
      break;
    if (s->sh_type == SHT_DYNAMIC) {
      im->dynamic = (const void *)(im->data + s->sh_offset);
      im->ndynamic = s->sh_size / sizeof(Elf64_Dyn);
      continue;
    }
    const Elf64_Shdr *names = s->sh_link < head->e_shnum ? &sections[s->sh_link] : NULL;
    if (!names || !inside(im, names->sh_offset, names->sh_size) || names->sh_size == 0)
      break;
    im->symbols = (const void *)(im->data + s->sh_offset);
    im->nsymbols = s->sh_size / sizeof(Elf64_Sym);
    im->strings = (const char *)im->data + names->sh_offset;
    im->strings_len = names->sh_size;
  }
  if (im->symbols && im->dynamic && im->strings[im->strings_len - 1] == '\0')
    return true;
  verdict_fail(v, "its dynamic symbols cannot be read");
  return false;
}

static bool read_image(const struct subject *s, struct image *im, struct verdict *v) {
  return map_file(s->path, im, v) && check_header(im, v) && read_sections(im, v);
}

static const char *name_at(const struct image *im, uint64_t offset) {
  return offset < im->strings_len ? im->strings + offset : "";
}

void check_elf(struct subject *s, struct verdict *v) {
  struct image im;

  (void)read_image(s, &im, v);
}

void check_exports(struct subject *s, struct verdict *v) {
  struct image im;
  bool found = false;

  if (!read_image(s, &im, v))
    return;
  for (size_t i = 1; i < im.nsymbols; i++) {
    const Elf64_Sym *sym = &im.symbols[i];
    const char *name = name_at(&im, sym->st_name);
    /* SHN_ABS is the name of the linker's version node. */
    if (sym->st_shndx == SHN_UNDEF || sym->st_shndx == SHN_ABS || ELF64_ST_BIND(sym->st_info) == STB_LOCAL ||
        ELF64_ST_VISIBILITY(sym->st_other) == STV_HIDDEN)
      continue;
    if (strcmp(name, OME_PLUGIN_SYMBOL) == 0)
      found = true;
    else
      verdict_fail(v, "exports %s beside " OME_PLUGIN_SYMBOL "; link with the exports map of the SDK", name);
  }
  if (!found)
    verdict_fail(v, "does not export " OME_PLUGIN_SYMBOL);
}

/* Sanitizers come with the program, not with a library. */
static bool is_sanitizer(const char *name) {
  static const char *const prefixes[] = {"__asan_", "__ubsan_", "__tsan_", "__sanitizer_", "__lsan_", "__sancov_"};

  for (size_t i = 0; i < COUNT(prefixes); i++)
    if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
      return true;
  return false;
}

#define MAX_LIBRARIES 64

/* Opens what the file declares; returns how many that are. */
static size_t open_libraries(const struct image *im, void **libraries, struct verdict *v) {
  size_t n = 0;

  for (size_t i = 0; i < im->ndynamic && n < MAX_LIBRARIES; i++) {
    if (im->dynamic[i].d_tag != DT_NEEDED)
      continue;
    const char *name = name_at(im, im->dynamic[i].d_un.d_val);
    void *library = dlopen(name, RTLD_LAZY | RTLD_LOCAL);
    if (library)
      libraries[n++] = library;
    else
      verdict_fail(v, "needs %s, which is not there", name);
  }
  return n;
}

void check_imports(struct subject *s, struct verdict *v) {
  void *libraries[MAX_LIBRARIES];
  struct image im;

  if (!read_image(s, &im, v))
    return;
  size_t n = open_libraries(&im, libraries, v);
  for (size_t i = 1; i < im.nsymbols; i++) {
    const Elf64_Sym *sym = &im.symbols[i];
    const char *name = name_at(&im, sym->st_name);
    size_t k = 0;
    if (sym->st_shndx != SHN_UNDEF || ELF64_ST_BIND(sym->st_info) == STB_WEAK || is_sanitizer(name))
      continue;
    while (k < n && !dlsym(libraries[k], name))
      k++;
    if (k == n)
      verdict_fail(v, "imports %s, which none of its libraries has; link with -z defs", name);
  }
}
