#include "xml.h"

#include <expat.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

struct reading {
  XML_Parser parser;
  xml_end_fn *end;
  void *arg;
  int32_t rc;
  unsigned depth;
  size_t path_len, text_len;
  size_t begin[XML_MAX_DEPTH]; /* where the text of each open element begins */
  char path[XML_MAX_PATH];
  char text[XML_MAX_TEXT];
};

static void stop(struct reading *r, int32_t rc) {
  if (r->rc == OME_OK)
    r->rc = rc;
  (void)XML_StopParser(r->parser, XML_FALSE);
}

static void on_start(void *arg, const XML_Char *name, const XML_Char **attributes) {
  struct reading *r = arg;
  const char *colon = strrchr(name, ':');
  size_t len;

  (void)attributes;
  if (colon)
    name = colon + 1;
  len = strlen(name);
  if (r->depth == XML_MAX_DEPTH || len + 2 > sizeof(r->path) - r->path_len) {
    stop(r, OME_E_INVALID);
    return;
  }
  if (r->path_len)
    r->path[r->path_len++] = '/';
  memcpy(r->path + r->path_len, name, len + 1);
  r->path_len += len;
  r->begin[r->depth++] = r->text_len;
}

static void on_text(void *arg, const XML_Char *text, int len) {
  struct reading *r = arg;

  if ((size_t)len >= sizeof(r->text) - r->text_len) {
    stop(r, OME_E_INVALID);
    return;
  }
  memcpy(r->text + r->text_len, text, (size_t)len);
  r->text_len += (size_t)len;
}

static void on_end(void *arg, const XML_Char *name) {
  struct reading *r = arg;

  (void)name;
  if (r->rc != OME_OK) /* expat still ends an empty element after it was stopped at its start */
    return;
  size_t begin = r->begin[--r->depth];
  r->text[r->text_len] = '\0';
  int32_t rc = r->end(r->arg, r->path, r->text + begin);
  if (rc != OME_OK)
    stop(r, rc);
  r->text_len = begin;
  const char *slash = strrchr(r->path, '/');
  r->path_len = slash ? (size_t)(slash - r->path) : 0;
  r->path[r->path_len] = '\0';
}

static void on_doctype(void *arg, const XML_Char *name, const XML_Char *system_id, const XML_Char *public_id,
                       int has_internal_subset) {
  (void)name, (void)system_id, (void)public_id, (void)has_internal_subset;
  stop(arg, OME_E_INVALID);
}

int32_t xml_read(const char *data, size_t len, xml_end_fn *end, void *arg) {
  struct reading *r = calloc(1, sizeof(*r));
  int32_t rc = OME_E_NO_MEMORY;

  if (len > INT_MAX) {
    free(r);
    return OME_E_INVALID;
  }
  if (r && (r->parser = XML_ParserCreate("UTF-8"))) {
    r->end = end;
    r->arg = arg;
    XML_SetUserData(r->parser, r);
    XML_SetElementHandler(r->parser, on_start, on_end);
    XML_SetCharacterDataHandler(r->parser, on_text);
    XML_SetStartDoctypeDeclHandler(r->parser, on_doctype);
    enum XML_Status status = XML_Parse(r->parser, data, (int)len, XML_TRUE);
    rc = r->rc != OME_OK ? r->rc : status == XML_STATUS_OK ? OME_OK : OME_E_INVALID;
    XML_ParserFree(r->parser);
  }
  free(r);
  return rc;
}

struct wanted {
  const char *path;
  char *out;
  size_t size;
  int found;
};

static int32_t on_wanted(void *arg, const char *path, const char *text) {
  struct wanted *w = arg;

  if (w->found || strcmp(path, w->path) != 0)
    return OME_OK;
  if (strlen(text) >= w->size)
    return OME_E_INVALID;
  memcpy(w->out, text, strlen(text) + 1);
  w->found = 1;
  return OME_OK;
}

int xml_text(const char *xml, size_t len, const char *path, char *out, size_t size) {
  struct wanted w = {path, out, size, 0};

  out[0] = '\0';
  return xml && xml_read(xml, len, on_wanted, &w) == OME_OK && w.found ? 0 : -1;
}
