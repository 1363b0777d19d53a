/* The `azure` plugin's decisions: addresses, signatures, lists, connection strings. */
#include "../unit.h"

#include "../../../plugins/storage/azure_answer.h"
#include "../../../plugins/storage/azure_sas.h"
#include "../../../plugins/storage/azure_uri.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Azurite's account, whose key everybody knows. */
#define ACCOUNT "devstoreaccount1"
#define KEY "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

static void uris(void **state) {
  static const char *const wrong[] = {"",
                                      "az://",
                                      "az://acct",
                                      "az://acct/",
                                      "az://ACCT/models/x",
                                      "az://ac/models/x",
                                      "az://acct/-x-/y",
                                      "az://acct/Models/x",
                                      "az://acct.blob.example.com/models/x",
                                      "az://acct.blob.core.windows.net.evil.com/models/x",
                                      "az://acct@evil.com/models/x",
                                      "az://acct/models/\n",
                                      "https://acct/models/x"};
  struct azure_uri *u = calloc(1, sizeof(*u));

  (void)state;
  assert_int_equal(azure_uri_parse("az://acct/cont/m/v 1//", u), 0);
  assert_string_equal(u->account, "acct");
  assert_string_equal(u->suffix, "");
  assert_string_equal(u->container, "cont");
  assert_string_equal(u->name, "m/v 1");
  assert_true(u->is_folder);
  assert_int_equal(azure_uri_parse("az://acct.blob.core.chinacloudapi.cn/cont", u), 0);
  assert_string_equal(u->suffix, "core.chinacloudapi.cn");
  assert_string_equal(u->name, "");
  assert_int_equal(azure_uri_parse("az://acct/cont/a?b?snapshot=2026-01-02T03:04:05.6789012Z", u), 0);
  assert_string_equal(u->name, "a?b");
  assert_string_equal(u->version, "snapshot=2026-01-02T03:04:05.6789012Z");
  assert_int_equal(azure_uri_parse("az://acct/cont/a?snapshot=now", u), 0); /* no time: part of the name */
  assert_string_equal(u->name, "a?snapshot=now");
  assert_string_equal(u->version, "");
  for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
    assert_int_equal(azure_uri_parse(wrong[i], u), -1);
  free(u);
}

static void endpoints(void **state) {
  static const char *const wrong[] = {"",           "ftp://h",    "https://",    "https:///x",
                                      "http://u@h", "http://h?x", "http://{acc}"};
  char out[128];

  (void)state;
  assert_int_equal(azure_endpoint("http://127.0.0.1:10000/{account}/", "acct", out, sizeof(out)), 0);
  assert_string_equal(out, "http://127.0.0.1:10000/acct");
  assert_int_equal(azure_endpoint("https://{account}.blob.example.com", "acct", out, sizeof(out)), 0);
  assert_string_equal(out, "https://acct.blob.example.com");
  for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
    assert_int_equal(azure_endpoint(wrong[i], "acct", out, sizeof(out)), -1);
  assert_int_equal(azure_blob_url("https://h", "cont", "a b/\xc3\xa9?", "snapshot=t", out, sizeof(out)), 0);
  assert_string_equal(out, "https://h/cont/a%20b/%C3%A9%3F?snapshot=t");
  assert_int_equal(azure_blob_url("https://h", "cont", "", "", out, sizeof(out)), 0);
  assert_string_equal(out, "https://h/cont");
  assert_int_equal(azure_with_query("https://h/c?x=1", "sig=s", out, sizeof(out)), 0);
  assert_string_equal(out, "https://h/c?x=1&sig=s");
  assert_int_equal(azure_with_query("https://h/c", "", out, sizeof(out)), 0);
  assert_string_equal(out, "https://h/c");
  assert_int_equal(azure_with_query("https://h/c", "sig=s", out, 16), -1);
}

/* The values of @azure/storage-blob 12.32.0 for the same account, container, time and version of the API. */
static void signatures(void **state) {
  struct azure_sas s = {
      .account = ACCOUNT, .container = "models", .blob = "", .version = "", .permissions = "rl", .expires = 1795431553};
  char text[512], query[AZURE_SAS_TEXT];

  (void)state;
  assert_int_equal(azure_sas_string(&s, text, sizeof(text)), 0);
  assert_string_equal(text, "rl\n\n2026-11-23T10:59:13Z\n/blob/" ACCOUNT "/models\n\n\n\n2020-12-06\nc\n\n\n\n\n\n\n");
  assert_int_equal(azure_sas_make(&s, KEY, query, sizeof(query)), 0);
  assert_string_equal(
      query, "sv=2020-12-06&sr=c&sp=rl&se=2026-11-23T10%3A59%3A13Z&sig=wlmEQdr0BkhrHq2kjnBs23uvLZxNIFOJe5AVPeks5eQ%3D");
  s.blob = "m/x";
  s.version = "snapshot=2026-01-02T03:04:05.6789012Z";
  s.permissions = "r";
  assert_int_equal(azure_sas_string(&s, text, sizeof(text)), 0);
  assert_string_equal(text, "r\n\n2026-11-23T10:59:13Z\n/blob/" ACCOUNT
                            "/models/m/x\n\n\n\n2020-12-06\nbs\n2026-01-02T03:04:05.6789012Z\n\n\n\n\n\n");
  assert_int_equal(azure_sas_make(&s, KEY, query, sizeof(query)), 0);
  assert_string_equal(
      query,
      "sv=2020-12-06&sr=bs&sp=r&se=2026-11-23T10%3A59%3A13Z&sig=8CI6y8qsoRhspnXcZspdyYYyJEBdz%2FQgV%2FiyvL7wGpQ%3D");
  s.version = "versionid=2026-01-02T03:04:05.6789012Z";
  assert_int_equal(azure_sas_make(&s, KEY, query, sizeof(query)), 0);
  assert_string_equal(
      query,
      "sv=2020-12-06&sr=bv&sp=r&se=2026-11-23T10%3A59%3A13Z&sig=4ktyWUD%2BfbidRdLtZ6zYi0mcstfZYaiiyPhv3mnsfqw%3D");
  assert_int_equal(azure_sas_make(&s, "?", query, sizeof(query)), -1);
  assert_int_equal(azure_sas_make(&s, "", query, sizeof(query)), -1);
  assert_int_equal(azure_sas_make(&s, KEY, query, 40), -1);
  assert_int_equal(azure_sas_string(&s, text, 40), -1);
}

static void given_signatures(void **state) {
  static const char *const wrong[] = {"", "sv=1", "xsig=1", "sv=1&sig=a b", "sig=a#b", "sig=1?x"};
  char out[64];

  (void)state;
  assert_int_equal(azure_sas_take("?sv=1&sig=a%2Fb%3D\n", out, sizeof(out)), 0);
  assert_string_equal(out, "sv=1&sig=a%2Fb%3D");
  for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
    assert_int_equal(azure_sas_take(wrong[i], out, sizeof(out)), -1);
  assert_int_equal(azure_sas_take("sv=1&sig=abc", out, 12), -1);
}

static void connections(void **state) {
  static const char key_alone[] = "AccountKey=" KEY;
  static const char *const wrong[] = {
      "",        "nothing",          "AccountName=a",
      key_alone, "=x;AccountName=a", "AccountName=longer_than_accounts_may_be;AccountKey=k"};
  struct azure_connection c;

  (void)state;
  assert_int_equal(azure_connection_parse("DefaultEndpointsProtocol=https;AccountName=acct;AccountKey=" KEY
                                          ";EndpointSuffix=core.windows.net",
                                          &c),
                   0);
  assert_string_equal(c.account, "acct");
  assert_string_equal(c.key, KEY); /* with its '=' */
  assert_string_equal(c.endpoint, "https://acct.blob.core.windows.net");
  assert_int_equal(azure_connection_parse("blobendpoint=http://h/acct;SharedAccessSignature=sv=1&sig=s;", &c), 0);
  assert_string_equal(c.endpoint, "http://h/acct");
  assert_string_equal(c.sas, "sv=1&sig=s");
  for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
    assert_int_equal(azure_connection_parse(wrong[i], &c), -1);
}

/* ---- answers ----------------------------------------------------------------------------------------------------- */

#define SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define MD5 "1B2M2Y8AsgTpgAmY7PhCfg=="
#define BLOB(name, size, more)                                                                                         \
  "<Blob><Name>" name "</Name><Properties><Content-Length>" size "</Content-Length>" more "</Blob>"
#define LIST(blobs) "\xef\xbb\xbf<?xml version=\"1.0\" encoding=\"utf-8\"?><EnumerationResults><Blobs>" blobs "</Blobs>"

static int32_t on_blob(void *arg, const struct azure_blob *b) {
  char *seen = arg;
  size_t n = strlen(seen);

  (void)snprintf(seen + n, 600 - n, "%s %llu %s %u:%s%s%s\n", b->name, (unsigned long long)b->size, b->etag,
                 b->digest_type, b->digest, b->is_archived ? " archived" : "", b->is_folder ? " folder" : "");
  return OME_OK;
}

static void pages(void **state) {
  static const char page[] =
      LIST(BLOB("a b", "5", "<Etag>0x8D1</Etag><Content-MD5>" MD5 "</Content-MD5></Properties>")
               BLOB("c", "0",
                    "<Etag>\"0x8D2\"</Etag><Content-MD5 /></Properties><Metadata><OME_sha256>" SHA256
                    "</OME_sha256></Metadata>") BLOB("d", "7", "<AccessTier>Archive</AccessTier></Properties>")
                   BLOB("e", "0", "<ResourceType>directory</ResourceType></Properties>")) "<NextMarker>m/=</NextMarker>"
                                                                                          "</EnumerationResults>";
  static const char *const wrong[] = {"", "<html/>", (LIST("") "</Enumeration>"),
                                      (LIST(BLOB("", "5", "</Properties>")) "</EnumerationResults>"),
                                      (LIST(BLOB("a", "-5", "</Properties>")) "</EnumerationResults>")};
  char seen[600] = "", next[AZURE_MARKER_TEXT];

  (void)state;
  assert_int_equal(azure_page_read(page, strlen(page), on_blob, seen, next), OME_OK);
  assert_string_equal(seen, "a b 5 \"0x8D1\" 3:d41d8cd98f00b204e9800998ecf8427e\nc 0 \"0x8D2\" 1:" SHA256
                            "\nd 7  0: archived\ne 0  0: folder\n");
  assert_string_equal(next, "m/=");
  for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
    assert_int_equal(azure_page_read(wrong[i], strlen(wrong[i]), on_blob, seen, next), OME_E_INVALID);
}

static void headers(void **state) {
  const struct ome_kv kv[] = {{"content-length", "12"},
                              {"etag", "\"0x8D1\""},
                              {"x-ms-meta-ome_sha256", SHA256},
                              {"content-md5", MD5},
                              {"x-ms-access-tier", "Archive"}};
  struct azure_blob *b = calloc(1, sizeof(*b));

  (void)state;
  assert_int_equal(azure_headers_read(kv, 5, b), 0);
  assert_int_equal(b->size, 12);
  assert_string_equal(b->etag, "\"0x8D1\"");
  assert_int_equal(b->digest_type, OME_DIGEST_SHA256);
  assert_true(b->is_archived);
  assert_int_equal(azure_headers_read(kv + 1, 4, b), -1);
  free(b);
}

static void refusals(void **state) {
  static const char xml[] = "<Error><Code>c</Code><Message>Not\there\nRequestId:1\nTime:2</Message></Error>";
  char why[64];

  (void)state;
  azure_error_read(xml, strlen(xml), why, sizeof(why));
  assert_string_equal(why, "Not here");
  azure_error_read(NULL, 0, why, sizeof(why));
  assert_string_equal(why, "");
  assert_non_null(strstr(azure_advice("ResourceNotFound", 1), "no credentials"));
  assert_null(azure_advice("ResourceNotFound", 0));
  assert_non_null(strstr(azure_advice("AuthenticationFailed", 0), "key"));
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(uris),        cmocka_unit_test(endpoints),
                                     cmocka_unit_test(signatures),  cmocka_unit_test(given_signatures),
                                     cmocka_unit_test(connections), cmocka_unit_test(pages),
                                     cmocka_unit_test(headers),     cmocka_unit_test(refusals)};

  return cmocka_run_group_tests(tests, NULL, NULL);
}
