/* Documents of tests, from text that is known to be right.  Include it behind unit.h. */
#ifndef TESTS_UNIT_DOCUMENTS_H
#define TESTS_UNIT_DOCUMENTS_H

#include "base/json.h"
#include "base/yaml.h"

static inline struct json_object *parse(const char *text) {
  struct json_object *o = NULL;
  struct ome_err err = ERR_INIT;

  if (json_parse(text, strlen(text), 0, &o, &err) != OME_OK)
    fail_msg("%s: %s", err.msg, text);
  return o;
}

static inline struct json_object *yaml(const char *text) {
  struct json_object *o = NULL;
  struct ome_err err = ERR_INIT;

  if (yaml_parse_one("test", text, strlen(text), &o, &err) != OME_OK)
    fail_msg("%s", err.msg);
  return o;
}

#endif
