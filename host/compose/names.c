#include "compose/names.h"

#include "base/str.h"

#include <string.h>

#define HASH_DIGITS 8

static char *shorten(const char *s, size_t max, bool letter_first) {
  char hash[65];
  size_t len = strlen(s);

  if (len <= max)
    return strdup(s);
  sha256_hex(s, len, hash);
  if (letter_first && hash[0] <= '9')
    hash[0] = 'a';
  if (max <= HASH_DIGITS + 1)
    return str_copy(hash, max < HASH_DIGITS ? max : HASH_DIGITS);
  return str_printf("%.*s-%s", HASH_DIGITS, hash, s + len - (max - HASH_DIGITS - 1));
}

char *name_truncate(const char *s, size_t max) {
  return shorten(s, max, true);
}

char *name_truncate_hash(const char *s, size_t max) {
  return shorten(s, max, false);
}

/* "NS.basemodel.NAME" where both together have ROOM bytes; a namespace longer than 8 gives way to its hash. */
static char *namespaced_key(const char *prefix, const char *ns, const char *name, size_t room) {
  const size_t ns_min = HASH_DIGITS;
  size_t ns_len = strlen(ns);

  if (ns_len + strlen(name) <= room)
    return str_printf("%s%s.basemodel.%s", prefix, ns, name);
  _cleanup_free_ char *short_ns = name_truncate_hash(ns, ns_len <= ns_min ? ns_len : ns_min);
  _cleanup_free_ char *short_name = name_truncate_hash(name, room - (ns_len <= ns_min ? ns_len : ns_min));
  return short_ns && short_name ? str_printf("%s%s.basemodel.%s", prefix, short_ns, short_name) : NULL;
}

static char *cluster_key(const char *prefix, const char *kind, const char *name, size_t room) {
  _cleanup_free_ char *short_name = name_truncate_hash(name, room);

  return short_name ? str_printf("%s%s%s", prefix, kind, short_name) : NULL;
}

bool name_is_weights(const char *ns) {
  return ns && streq(ns, NS_WEIGHTS);
}

const char *name_api_ns(const char *ns) {
  return name_is_weights(ns) ? NULL : ns;
}

char *name_model_label(const char *ns, const char *name) {
  if (name_is_weights(ns))
    return cluster_key("models.ome.io/", NS_WEIGHTS, name, 32);
  return ns ? namespaced_key("models.ome.io/", ns, name, 38)
            : cluster_key("models.ome.io/", "clusterbasemodel.", name, 32);
}

char *name_model_key(const char *ns, const char *name) {
  if (name_is_weights(ns))
    return cluster_key("", NS_WEIGHTS, name, 236);
  return ns ? namespaced_key("", ns, name, 242) : cluster_key("", "clusterbasemodel.", name, 236);
}

static const struct {
  const char *ns;      /* of a BaseModel */
  const char *instead; /* what stands for the namespace of the other */
} shared[] = {{"clusterbasemodel", NULL}, {"finetunedweight", NS_WEIGHTS}};

char *name_rival(const char *ns, const char *name, const char **other_ns) {
  for (size_t i = 0; ns && i < ARRAY_LEN(shared); i++)
    if (streq(ns, shared[i].ns)) {
      *other_ns = shared[i].instead;
      return str_printf("basemodel.%s", name);
    }
  return NULL;
}

const char *name_twin(const char *ns, const char *name, const char **other_ns) {
  for (size_t i = 0; i < ARRAY_LEN(shared); i++)
    if (streq(ns, shared[i].instead) && has_prefix(name, "basemodel.") && name[strlen("basemodel.")]) {
      *other_ns = shared[i].ns;
      return name + strlen("basemodel.");
    }
  return NULL;
}

static bool is_alnum(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* Replaces what is neither alphanumeric nor in MORE by "-", then cuts such characters off both ends. */
static char *sanitize(const char *s, const char *more) {
  char *out = strdup(s);

  if (!out)
    return NULL;
  for (char *p = out; *p; p++)
    if (!is_alnum(*p) && !strchr(more, *p))
      *p = '-';
  size_t start = 0;
  size_t len = strlen(out);
  while (start < len && !is_alnum(out[start]))
    start++;
  while (len > start && !is_alnum(out[len - 1]))
    len--;
  memmove(out, out + start, len - start);
  out[len - start] = '\0';
  return out;
}

char *name_label_value(const char *v) {
  _cleanup_free_ char *clean = sanitize(v, "-_.");

  return clean ? name_truncate(clean, NAME_MAX_LABEL) : NULL;
}

char *name_dns_label(const char *s) {
  if (is_dns_label(s))
    return strdup(s);
  _cleanup_free_ char *clean = sanitize(s, "-");
  if (!clean)
    return NULL;
  for (char *p = clean; *p; p++)
    if (*p >= 'A' && *p <= 'Z')
      *p = (char)(*p - 'A' + 'a');
  if (!*clean)
    return strdup("model");
  /* The last bytes of a long name may begin with "-": the hash before them keeps the label valid. */
  return name_truncate(clean, NAME_MAX_LABEL);
}
