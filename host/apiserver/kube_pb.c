#include "apiserver/kube_pb.h"

#include "base/clock.h"
#include "base/str.h"

#include <stdio.h>
#include <string.h>

#define MAX_DEPTH 64
#define MAX_VALUES 1000000 /* a byte may stand for a value that takes a hundred */

struct reader {
  const uint8_t *at, *end;
};

struct decode {
  size_t nvalues;
  int depth;
  struct ome_err *err;
};

/* One field as it came. */
struct wire_field {
  uint32_t number;
  bool is_bytes;
  uint64_t value;      /* varint or fixed */
  struct reader bytes; /* when IS_BYTES */
};

/* One field as the table has it. */
struct pb_field {
  char name[64];
  uint32_t number;
  bool optional, list, map;
  const char *type; /* ends at a space or the end */
};

/* ---- the wire --------------------------------------------------------------------------------------------------- */

static bool get_varint(struct reader *r, uint64_t *out) {
  uint64_t v = 0;

  for (unsigned shift = 0; shift < 64 && r->at < r->end; shift += 7) {
    uint8_t byte = *r->at++;
    v |= (uint64_t)(byte & 0x7f) << shift;
    if (!(byte & 0x80)) {
      *out = v;
      return true;
    }
  }
  return false;
}

static bool get_fixed(struct reader *r, size_t n, uint64_t *out) {
  if ((size_t)(r->end - r->at) < n)
    return false;
  *out = 0;
  for (size_t i = 0; i < n; i++)
    *out |= (uint64_t)r->at[i] << (8 * i);
  r->at += n;
  return true;
}

static bool get_field(struct reader *r, struct wire_field *out) {
  uint64_t tag, len;

  *out = (struct wire_field){0};
  if (!get_varint(r, &tag) || tag >> 3 == 0 || tag >> 3 > UINT32_MAX)
    return false;
  out->number = (uint32_t)(tag >> 3);
  switch (tag & 7) {
  case 0:
    return get_varint(r, &out->value);
  case 1:
    return get_fixed(r, 8, &out->value);
  case 2:
    if (!get_varint(r, &len) || len > (uint64_t)(r->end - r->at))
      return false;
    out->is_bytes = true;
    out->bytes = (struct reader){r->at, r->at + len};
    r->at += len;
    return true;
  case 5:
    return get_fixed(r, 4, &out->value);
  default:
    return false;
  }
}

static bool fail_wire(struct decode *d) {
  if (d->err->code == OME_OK)
    (void)fail(d->err, OME_E_INVALID, "protobuf: the body is cut off or malformed");
  return false;
}

/* ---- the table -------------------------------------------------------------------------------------------------- */

static int compare_message(const void *name, const void *message) {
  const struct kube_pb_message *m = message;

  return strcmp(name, m->name);
}

static const char *fields_of(const char *type) {
  char name[96];

  (void)snprintf(name, sizeof(name), "%.*s", (int)strcspn(type, " "), type);
  const struct kube_pb_message *m = bsearch(name, kube_pb_messages, kube_pb_nmessages, sizeof(*m), compare_message);
  return m ? m->fields : NULL;
}

static bool find_field(const char *fields, uint32_t number, struct pb_field *out) {
  while (fields && *fields) {
    size_t name = strcspn(fields, "=");
    char *after;
    unsigned long n = strtoul(fields + name + 1, &after, 10);
    if (n == number) {
      *out =
          (struct pb_field){.number = number, .optional = *after == '*', .list = *after == '[', .map = *after == '{'};
      (void)snprintf(out->name, sizeof(out->name), "%.*s", (int)name, fields);
      out->type = after + (out->optional ? 1 : out->list || out->map ? 2 : 0);
      return true;
    }
    fields += strcspn(fields, " ");
    fields += *fields == ' ';
  }
  return false;
}

/* ---- values ----------------------------------------------------------------------------------------------------- */

/* What may start a UTF-8 sequence (RFC 3629): the range of the first byte, that of the second, and how many follow. */
static const struct {
  uint8_t first, last, second_first, second_last, more;
} sequences[] = {
    {0x01, 0x7f, 0, 0, 0},       {0xc2, 0xdf, 0x80, 0xbf, 1}, {0xe0, 0xe0, 0xa0, 0xbf, 2},
    {0xe1, 0xec, 0x80, 0xbf, 2}, {0xed, 0xed, 0x80, 0x9f, 2}, {0xee, 0xef, 0x80, 0xbf, 2},
    {0xf0, 0xf0, 0x90, 0xbf, 3}, {0xf1, 0xf3, 0x80, 0xbf, 3}, {0xf4, 0xf4, 0x80, 0x8f, 3},
};

/* How long the sequence at S is; 0: none starts there. */
static size_t sequence_length(const uint8_t *s, const uint8_t *end) {
  size_t i = 0;

  while (i < ARRAY_LEN(sequences) && !(*s >= sequences[i].first && *s <= sequences[i].last))
    i++;
  if (i == ARRAY_LEN(sequences) || end - s <= sequences[i].more)
    return 0;
  if (sequences[i].more && !(s[1] >= sequences[i].second_first && s[1] <= sequences[i].second_last))
    return 0;
  for (size_t k = 2; k <= sequences[i].more; k++)
    if ((s[k] & 0xc0) != 0x80)
      return 0;
  return sequences[i].more + 1U;
}

static bool is_text(const uint8_t *s, const uint8_t *end) {
  size_t n = 1;

  while (s < end && (n = sequence_length(s, end)) > 0)
    s += n;
  return n > 0;
}

static bool text_value(struct decode *d, const struct reader *r, struct json_object **out) {
  if (!is_text(r->at, r->end)) {
    (void)fail(d->err, OME_E_INVALID, "protobuf: a string is not UTF-8");
    return false;
  }
  *out = json_object_new_string_len(r->at ? (const char *)r->at : "", (int)(r->end - r->at));
  return *out != NULL;
}

static bool decode_fields(struct decode *d, struct reader r, const char *fields, struct json_object *into);

/* Quantity, time, integer or string, document, list: messages that are plain values in JSON. */
static bool wrapped_value(struct decode *d, char type, struct reader r, struct json_object **out) {
  struct wire_field f;
  uint64_t numbers[4] = {0};
  struct reader texts[4] = {{NULL, NULL}};
  char stamp[TIME_TEXT_US];

  *out = type == 'L' ? json_object_new_array() : NULL;
  while (r.at < r.end) {
    struct json_object *item = NULL;
    if (!get_field(&r, &f))
      return fail_wire(d);
    if (f.number >= ARRAY_LEN(numbers))
      continue;
    numbers[f.number] = f.value;
    texts[f.number] = f.bytes;
    if (type == 'L' && f.number == 1) {
      if (!text_value(d, &f.bytes, &item))
        return false;
      (void)json_add(*out, item);
    }
  }
  switch (type) {
  case 'Q':
    return text_value(d, &texts[1], out);
  case 'I':
    if (numbers[1] == 1)
      return text_value(d, &texts[3], out);
    *out = json_object_new_int64((int32_t)numbers[2]);
    return true;
  case 'T':
    if (numbers[2])
      time_format_us((int64_t)numbers[1] * 1000000 + (int64_t)numbers[2] / 1000, stamp);
    else
      time_format((int64_t)numbers[1], stamp);
    *out = numbers[1] ? json_object_new_string(stamp) : NULL;
    return true;
  case 'R': {
    struct ome_err ignored = ERR_INIT;
    (void)json_parse((const char *)texts[1].at, (size_t)(texts[1].end - texts[1].at), 0, out, &ignored);
    return true;
  }
  default:
    return true;
  }
}

static bool bytes_value(const struct reader *r, struct json_object **out) {
  _cleanup_free_ char *text = base64_encode(r->at, (size_t)(r->end - r->at));

  *out = text ? json_object_new_string(text) : NULL;
  return *out != NULL;
}

static struct json_object *number_value(const struct wire_field *f, char type) {
  double number;

  if (type == 'b')
    return json_object_new_boolean(f->value != 0);
  if (type == 'i')
    return json_object_new_int64((int64_t)f->value);
  memcpy(&number, &f->value, sizeof(number));
  return json_object_new_double(number);
}

/* The value of F by TYPE; NULL: it is none, as a time that is not set. */
static bool decode_value(struct decode *d, const struct wire_field *f, const char *type, struct json_object **out) {
  bool one_letter = type[1] == ' ' || !type[1];
  bool ok;

  *out = NULL;
  if (++d->nvalues > MAX_VALUES || d->depth >= MAX_DEPTH) {
    (void)fail(d->err, OME_E_INVALID, "protobuf: too many values, or too deep");
    return false;
  }
  if (one_letter && strchr("bid", *type)) {
    *out = f->is_bytes ? NULL : number_value(f, *type);
    return *out || fail_wire(d);
  }
  if (!f->is_bytes)
    return fail_wire(d);
  if (one_letter && *type == 's')
    return text_value(d, &f->bytes, out);
  if (one_letter && *type == 'x')
    return bytes_value(&f->bytes, out);
  d->depth++;
  if (one_letter)
    ok = wrapped_value(d, *type, f->bytes, out);
  else
    ok = (*out = json_object_new_object()) && decode_fields(d, f->bytes, fields_of(type), *out);
  d->depth--;
  return ok;
}

/* {key = 1, value = 2} */
static bool decode_entry(struct decode *d, struct reader r, const char *type, struct json_object *map) {
  _cleanup_json_ struct json_object *key = NULL, *value = NULL;
  struct wire_field f;

  while (r.at < r.end) {
    struct json_object *v = NULL;
    if (!get_field(&r, &f))
      return fail_wire(d);
    if (f.number != 1 && f.number != 2)
      continue;
    bool ok = decode_value(d, &f, f.number == 1 ? "s" : type, &v);
    struct json_object **slot = f.number == 1 ? &key : &value;
    json_unref(*slot);
    *slot = v;
    if (!ok)
      return false;
  }
  if (!value && (*type == 's' || *type == 'x') && (type[1] == ' ' || !type[1]))
    value = json_object_new_string("");
  return json_put(map, key ? json_object_get_string(key) : "", TAKE_PTR(value));
}

static bool is_zero(struct json_object *v) {
  switch (json_object_get_type(v)) {
  case json_type_null:
    return true;
  case json_type_boolean:
    return !json_object_get_boolean(v);
  case json_type_int:
    return json_object_get_int64(v) == 0;
  case json_type_string:
    return json_object_get_string_len(v) == 0;
  case json_type_double:
  case json_type_object:
  case json_type_array:
    return json_empty(v);
  }
  return false;
}

/* The list or map FIELD of INTO, made when absent. */
static struct json_object *container_of(const struct pb_field *field, struct json_object *into) {
  struct json_object *c = json_get(into, field->name);

  if (c)
    return c;
  c = field->list ? json_object_new_array() : json_object_new_object();
  return c && json_put(into, field->name, c) ? c : NULL;
}

/* Puts F where FIELD says in INTO. */
static bool put_field(struct decode *d, const struct wire_field *f, const struct pb_field *field,
                      struct json_object *into) {
  struct json_object *container = NULL, *v = NULL;

  if (!*field->name) { /* its fields are the object's own */
    if (!f->is_bytes || ++d->depth >= MAX_DEPTH)
      return fail_wire(d);
    bool ok = decode_fields(d, f->bytes, fields_of(field->type), into);
    d->depth--;
    return ok;
  }
  if ((field->list || field->map) && !(container = container_of(field, into)))
    return false;
  if (field->map)
    return f->is_bytes ? decode_entry(d, f->bytes, field->type, container) : fail_wire(d);
  if (!decode_value(d, f, field->type, &v)) {
    json_unref(v);
    return false;
  }
  if (field->list)
    return json_add(container, v);
  if (!v || (!field->optional && is_zero(v))) {
    json_unref(v);
    return true;
  }
  return json_put(into, field->name, v);
}

static bool decode_fields(struct decode *d, struct reader r, const char *fields, struct json_object *into) {
  struct wire_field f;
  struct pb_field field;

  while (r.at < r.end) {
    if (!get_field(&r, &f))
      return fail_wire(d);
    if (find_field(fields, f.number, &field) && !put_field(d, &f, &field, into))
      return fail_wire(d);
  }
  return true;
}

/* ---- objects ---------------------------------------------------------------------------------------------------- */

static const struct {
  const char *version, *package;
} packages[] = {
    {"v1", "core"},
    {"apps/v1", "apps"},
    {"authentication.k8s.io/v1", "authentication"},
    {"authorization.k8s.io/v1", "authorization"},
    {"autoscaling/v1", "autoscaling1"},
    {"autoscaling/v2", "autoscaling2"},
    {"batch/v1", "batch"},
    {"coordination.k8s.io/v1", "coordination"},
    {"discovery.k8s.io/v1", "discovery"},
    {"events.k8s.io/v1", "events"},
    {"networking.k8s.io/v1", "networking"},
    {"policy/v1", "policy"},
    {"rbac.authorization.k8s.io/v1", "rbac"},
    {"scheduling.k8s.io/v1", "scheduling"},
    {"storage.k8s.io/v1", "storage"},
};

/* Options are the same in every group. */
static const char *object_fields(const char *version, const char *kind) {
  char name[96];

  if (streq(kind, "DeleteOptions"))
    return fields_of("meta.DeleteOptions");
  for (size_t i = 0; i < ARRAY_LEN(packages); i++)
    if (streq(packages[i].version, version)) {
      (void)snprintf(name, sizeof(name), "%s.%.60s", packages[i].package, kind);
      return strchr(name, ' ') ? NULL : fields_of(name);
    }
  return NULL;
}

/* The envelope: {typeMeta = 1 {apiVersion = 1, kind = 2}, raw = 2}. */
static bool open_envelope(struct decode *d, struct reader r, struct json_object *type, struct reader *raw) {
  struct wire_field f, inner;

  while (r.at < r.end) {
    if (!get_field(&r, &f))
      return fail_wire(d);
    if (f.number == 2 && f.is_bytes)
      *raw = f.bytes;
    if (f.number != 1 || !f.is_bytes)
      continue;
    while (f.bytes.at < f.bytes.end) {
      struct json_object *v = NULL;
      if (!get_field(&f.bytes, &inner) || !inner.is_bytes || !text_value(d, &inner.bytes, &v))
        return fail_wire(d);
      (void)json_put(type, inner.number == 1 ? "apiVersion" : "kind", v);
    }
  }
  return true;
}

int32_t kube_pb_decode(const void *data, size_t len, struct json_object **out, struct ome_err *err) {
  _cleanup_json_ struct json_object *o = json_object_new_object();
  struct decode d = {.err = err};
  struct reader raw = {NULL, NULL};
  const char *start = data;

  if (!o)
    return fail_memory(err);
  err_clear(err);
  if (len < 4 || memcmp(start, "k8s\0", 4) != 0)
    return fail(err, OME_E_INVALID, "protobuf: the body does not start as a Kubernetes object does");
  const uint8_t *bytes = data;
  if (!open_envelope(&d, (struct reader){bytes + 4, bytes + len}, o, &raw))
    return err->code;
  const char *version = json_str(o, "apiVersion", ""), *kind = json_str(o, "kind", "");
  const char *fields = object_fields(version, kind);
  if (!fields)
    return fail(err, OME_E_UNSUPPORTED, "protobuf: no kind \"%.60s\" is registered for version \"%.60s\"", kind,
                version);
  if (!decode_fields(&d, raw, fields, o))
    return err->code ? err->code : fail_memory(err);
  *out = TAKE_PTR(o);
  return OME_OK;
}
