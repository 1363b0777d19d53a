/* What a file's content is called before anybody has its SHA-256. */
#include "store/internal.h"

#include "base/buf.h"
#include "base/str.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

void content_id(const char *uri, const char *revision, const struct manifest_file *f, char out[65]) {
  _cleanup_buf_ struct buf text = BUF_INIT;

  out[0] = '\0';
  if (f->digest_type == OME_DIGEST_SHA256) {
    for (size_t i = 0; i < 65; i++)
      out[i] = (char)tolower((unsigned char)f->digest[i]);
    return;
  }
  if (f->digest_type == OME_DIGEST_GIT_SHA1) {
    buf_addf(&text, "git %" PRIu64 " %s", f->size, f->digest);
  } else if (f->digest || f->etag || revision) {
    /* A weaker digest is believed of its own source only. */
    buf_addf(&text, "%u %s %s %s ", f->digest_type, f->digest ? f->digest : "", f->etag ? f->etag : "",
             revision ? revision : "");
    buf_adds(&text, uri);
    buf_addc(&text, '\n');
    buf_adds(&text, f->path);
  } else {
    return;
  }
  if (buf_ok(&text))
    sha256_hex(buf_str(&text), text.len, out);
}

void model_store_content_id(const char *uri, const char *revision, const struct manifest_file *f,
                            char out[STORE_CONTENT_ID]) {
  content_id(uri, revision, f, out);
}

static void add_known(struct strmap *known, const char *uri, const char *revision, const struct manifest_file *f) {
  char id[65];

  content_id(uri, revision, f, id);
  if (!*id || strmap_has(known, id))
    return;
  char *sha256 = strdup(f->sha256);
  if (sha256 && !strmap_put(known, id, sha256))
    free(sha256);
}

struct strmap *known_contents(const struct model_store *s) {
  struct strmap *known = strmap_new(free);
  _cleanup_names_ struct names names = {{0}};
  struct ome_err err = ERR_INIT;

  if (!known || names_in(s, "references", ".json", &names, &err) != OME_OK)
    return known;
  for (size_t i = 0; i < names.list.len; i++) {
    _cleanup_json_ struct json_object *o = reference_read(s, names.list.items[i]);
    _cleanup_manifest_ struct manifest m = {0};
    if (!o || !manifest_read(s, json_str(o, "manifest", ""), &m))
      continue;
    for (size_t k = 0; k < m.files.len; k++)
      add_known(known, json_str(o, "uri", ""), json_str(o, "revision", NULL), &m.files.items[k]);
  }
  return known;
}
