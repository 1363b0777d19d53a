#include "cli/stores.h"

#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool read_percent(const char *text, unsigned *out) {
  uint64_t n = 0;

  if (!str_to_u64(text, &n) || n < 1 || n > 100)
    return false;
  *out = (unsigned)n;
  return true;
}

static bool read_setting(struct agent_store *s, const char *setting) {
  if (has_prefix(setting, "capacity="))
    return cli_bytes(setting + strlen("capacity="), &s->capacity);
  if (has_prefix(setting, "high="))
    return read_percent(setting + strlen("high="), &s->high);
  return has_prefix(setting, "low=") && read_percent(setting + strlen("low="), &s->low);
}

/* "NAME=DIR", both into room of ours. */
static bool read_place(struct store_options *o, const char *place) {
  const char *equals = strchr(place, '=');
  char *name = o->names[o->len], *dir = o->dirs[o->len];

  if (!equals || (size_t)(equals - place) >= STORE_NAME_SIZE || strlen(equals + 1) >= STORE_DIR_SIZE)
    return false;
  (void)snprintf(name, STORE_NAME_SIZE, "%.*s", (int)(equals - place), place);
  (void)snprintf(dir, STORE_DIR_SIZE, "%s", equals + 1);
  o->list[o->len] = (struct agent_store){.name = name, .dir = dir};
  return is_dns_label(name) && !streq(name, "default") && dir[0] == '/';
}

static bool is_taken(const struct store_options *o, const struct agent_store *s, const char *first) {
  bool taken = streq(s->dir, first);

  for (size_t i = 0; i < o->len; i++)
    taken |= streq(o->list[i].name, s->name) || streq(o->list[i].dir, s->dir);
  return taken;
}

static bool read_one(struct store_options *o, const char *text, const char *first) {
  char **parts = str_split(text, ',');
  bool ok = parts && read_place(o, parts[0]);
  struct agent_store *s = &o->list[o->len];

  for (size_t i = 1; ok && parts[i]; i++)
    ok = read_setting(s, parts[i]);
  free(parts);
  return ok && !(s->high && s->low > s->high) && !is_taken(o, s, first);
}

bool store_options_read(struct store_options *out, const struct cli_list *given, const char *first,
                        struct ome_err *err) {
  for (size_t i = 0; i < given->len; i++) {
    if (out->len < STORES_MAX && read_one(out, given->items[i], first)) {
      out->len++;
      continue;
    }
    (void)fail(err, OME_E_INVALID,
               "--store: \"%.200s\" is no NAME=DIR[,capacity=BYTES][,high=PERCENT][,low=PERCENT] with a name and an "
               "absolute folder of its own, at most %u of them",
               given->items[i], STORES_MAX);
    return false;
  }
  return true;
}
