#include "oci_uri.h"

#include <string.h>

/* ---- the model's address ----------------------------------------------------------------------------------------- */

/* The part up to the next '/' into OUT; *AT moves behind it.  -1: empty or too long. */
static int take(const char **at, char *out, size_t size) {
  size_t n = strcspn(*at, "/");

  if (n == 0 || n >= size)
    return -1;
  memcpy(out, *at, n);
  out[n] = '\0';
  *at += n + ((*at)[n] == '/');
  return 0;
}

static int take_word(const char **at, const char *word) {
  char found[2];

  return take(at, found, sizeof(found)) == 0 && strcmp(found, word) == 0 ? 0 : -1;
}

static int take_prefix(const char *at, struct oci_uri *out) {
  at += strspn(at, "/");
  size_t n = strlen(at);

  while (n && at[n - 1] == '/')
    n--;
  if (n >= sizeof(out->prefix))
    return -1;
  for (size_t i = 0; i < n; i++)
    if ((unsigned char)at[i] < ' ' || at[i] == 0x7f)
      return -1;
  memcpy(out->prefix, at, n);
  out->prefix[n] = '\0';
  return 0;
}

/* What every name is free of: it would end a line of the signing string or a part of the address. */
static int is_plain(const char *text) {
  for (; *text; text++)
    if ((unsigned char)*text <= ' ' || strchr("\x7f?#%\\", *text))
      return 0;
  return 1;
}

/* n/NAMESPACE/b/BUCKET/o; what is behind it stays at *AT. */
static int take_native(const char **at, struct oci_uri *out) {
  return take_word(at, "n") == 0 && take(at, out->ns, sizeof(out->ns)) == 0 && take_word(at, "b") == 0 &&
                 take(at, out->bucket, sizeof(out->bucket)) == 0 && take_word(at, "o") == 0
             ? 0
             : -1;
}

/* NAMESPACE@REGION/BUCKET */
static int take_regional(const char **at, struct oci_uri *out) {
  char first[sizeof(out->ns) + OCI_REGION_TEXT];
  char *region = take(at, first, sizeof(first)) == 0 ? strchr(first, '@') : NULL;

  if (!region)
    return -1;
  *region++ = '\0';
  if (!*first || strlen(first) >= sizeof(out->ns) || !oci_region_is_name(region))
    return -1;
  memcpy(out->ns, first, strlen(first) + 1);
  memcpy(out->region, region, strlen(region) + 1);
  return take(at, out->bucket, sizeof(out->bucket));
}

int oci_uri_parse(const char *uri, struct oci_uri *out) {
  const char *at = uri && strncmp(uri, "oci://", 6) == 0 ? uri + 6 : NULL;
  int rc;

  memset(out, 0, sizeof(*out));
  if (!at)
    return -1;
  if (strncmp(at, "n/", 2) == 0)
    rc = take_native(&at, out);
  else if (memchr(at, '@', strcspn(at, "/")))
    rc = take_regional(&at, out);
  else
    rc = take(&at, out->bucket, sizeof(out->bucket));
  return rc == 0 && take_prefix(at, out) == 0 && is_plain(out->ns) && is_plain(out->bucket) ? 0 : -1;
}

/* ---- regions ----------------------------------------------------------------------------------------------------- */

int oci_region_is_name(const char *text) {
  size_t n = strlen(text);

  return n > 0 && n < OCI_REGION_TEXT && strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") == n && text[0] != '-' &&
         text[n - 1] != '-';
}

static const struct {
  const char *code, *region;
} codes[] = {
    {"phx", "us-phoenix-1"},     {"iad", "us-ashburn-1"},      {"fra", "eu-frankfurt-1"},   {"lhr", "uk-london-1"},
    {"yyz", "ca-toronto-1"},     {"nrt", "ap-tokyo-1"},        {"icn", "ap-seoul-1"},       {"bom", "ap-mumbai-1"},
    {"gru", "sa-saopaulo-1"},    {"syd", "ap-sydney-1"},       {"zrh", "eu-zurich-1"},      {"jed", "me-jeddah-1"},
    {"ams", "eu-amsterdam-1"},   {"kix", "ap-osaka-1"},        {"mel", "ap-melbourne-1"},   {"yul", "ca-montreal-1"},
    {"hyd", "ap-hyderabad-1"},   {"yny", "ap-chuncheon-1"},    {"sjc", "us-sanjose-1"},     {"dxb", "me-dubai-1"},
    {"cwl", "uk-cardiff-1"},     {"scl", "sa-santiago-1"},     {"vcp", "sa-vinhedo-1"},     {"sin", "ap-singapore-1"},
    {"mrs", "eu-marseille-1"},   {"auh", "me-abudhabi-1"},     {"mtz", "il-jerusalem-1"},   {"lin", "eu-milan-1"},
    {"arn", "eu-stockholm-1"},   {"jnb", "af-johannesburg-1"}, {"cdg", "eu-paris-1"},       {"qro", "mx-queretaro-1"},
    {"mad", "eu-madrid-1"},      {"ord", "us-chicago-1"},      {"mty", "mx-monterrey-1"},   {"aga", "us-saltlake-2"},
    {"bog", "sa-bogota-1"},      {"vap", "sa-valparaiso-1"},   {"xsp", "ap-singapore-2"},   {"ruh", "me-riyadh-1"},
    {"lfi", "us-langley-1"},     {"luf", "us-luke-1"},         {"ric", "us-gov-ashburn-1"}, {"pia", "us-gov-chicago-1"},
    {"tus", "us-gov-phoenix-1"}, {"ltn", "uk-gov-london-1"},   {"brs", "uk-gov-cardiff-1"}, {"nja", "ap-chiyoda-1"},
    {"ukb", "ap-ibaraki-1"},     {"mct", "me-dcc-muscat-1"},   {"wga", "ap-dcc-canberra-1"}};

const char *oci_region_of(const char *region) {
  for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
    if (strcmp(codes[i].code, region) == 0)
      return codes[i].region;
  return region;
}

/* Regions outside the commercial realm, whose names do not say so. */
static const struct {
  const char *region, *domain;
} realms[] = {{"us-langley-1", "oraclegovcloud.com"},     {"us-luke-1", "oraclegovcloud.com"},
              {"us-gov-ashburn-1", "oraclegovcloud.com"}, {"us-gov-chicago-1", "oraclegovcloud.com"},
              {"us-gov-phoenix-1", "oraclegovcloud.com"}, {"uk-gov-london-1", "oraclegovcloud.uk"},
              {"uk-gov-cardiff-1", "oraclegovcloud.uk"},  {"ap-chiyoda-1", "oraclecloud8.com"},
              {"ap-ibaraki-1", "oraclecloud8.com"},       {"me-dcc-muscat-1", "oraclecloud9.com"},
              {"me-ibri-1", "oraclecloud9.com"},          {"ap-dcc-canberra-1", "oraclecloud10.com"},
              {"eu-dcc-milan-1", "oraclecloud14.com"},    {"eu-dcc-milan-2", "oraclecloud14.com"},
              {"eu-dcc-dublin-1", "oraclecloud14.com"},   {"eu-dcc-dublin-2", "oraclecloud14.com"},
              {"eu-dcc-rating-1", "oraclecloud14.com"},   {"eu-dcc-rating-2", "oraclecloud14.com"},
              {"ap-dcc-gazipur-1", "oraclecloud15.com"},  {"eu-madrid-2", "oraclecloud.eu"},
              {"eu-frankfurt-2", "oraclecloud.eu"},       {"eu-jovanovac-1", "oraclecloud20.com"},
              {"me-dcc-doha-1", "oraclecloud21.com"},     {"us-somerset-1", "oraclecloud23.com"},
              {"us-thames-1", "oraclecloud23.com"},       {"eu-dcc-zurich-1", "oraclecloud24.com"},
              {"eu-crissier-1", "oraclecloud24.com"},     {"me-abudhabi-3", "oraclecloud26.com"},
              {"me-alain-1", "oraclecloud26.com"},        {"me-abudhabi-2", "oraclecloud29.com"},
              {"me-abudhabi-4", "oraclecloud29.com"},     {"ap-seoul-2", "oraclecloud35.com"},
              {"ap-suwon-1", "oraclecloud35.com"},        {"ap-chuncheon-2", "oraclecloud35.com"},
              {"us-ashburn-2", "oraclecloud42.com"},      {"us-newark-1", "oraclecloud42.com"},
              {"eu-budapest-1", "oraclecloud51.com"}};

const char *oci_domain_of(const char *region, const char *otherwise) {
  for (size_t i = 0; i < sizeof(realms) / sizeof(realms[0]); i++)
    if (strcmp(realms[i].region, region) == 0)
      return realms[i].domain;
  return otherwise && *otherwise ? otherwise : "oraclecloud.com";
}

/* ---- objects ----------------------------------------------------------------------------------------------------- */
