/* The layout of ABI 1.0, member by member: what is here never changes.  A later minor appends lines; a size of a
 * growable struct is the one number that may then grow.  What abidiff cannot see (constants, macros) is here too.
 * 64-bit platforms. */
#include <ome/render.h>
#include <ome/scorer.h>
#include <ome/service.h>
#include <ome/storage.h>

#include <string.h>

#define SAME(claim) _Static_assert(claim, #claim)
#define SIZE(type, bytes) SAME(sizeof(struct type) == (bytes))
#define AT(type, member, offset) SAME(offsetof(struct type, member) == (offset))

SAME(sizeof(void *) == 8);
SAME(OME_ABI_EPOCH == 1u);
SAME(OME_ABI_MINOR == 7u || OME_ABI_MINOR == 0u);

SIZE(ome_bytes, 16);
AT(ome_bytes, ptr, 0);
AT(ome_bytes, len, 8);

SIZE(ome_kv, 16);
AT(ome_kv, key, 0);
AT(ome_kv, value, 8);

SIZE(ome_list, 16);
AT(ome_list, data, 0);
AT(ome_list, count, 8);
AT(ome_list, stride, 12);

SIZE(ome_err, 512);
AT(ome_err, code, 0);
AT(ome_err, retry_after_ms, 4);
AT(ome_err, msg, 8);

SIZE(ome_call, 32);
AT(ome_call, struct_size, 0);
AT(ome_call, flags, 4);
AT(ome_call, deadline_ns, 8);
AT(ome_call, trace_id, 16);
AT(ome_call, cancelled, 24);

SIZE(ome_host, 32);
AT(ome_host, struct_size, 0);
AT(ome_host, abi_minor, 4);
AT(ome_host, ctx, 8);
AT(ome_host, log, 16);
AT(ome_host, service, 24);

SIZE(ome_key, 40);
AT(ome_key, struct_size, 0);
AT(ome_key, type, 4);
AT(ome_key, flags, 8);
AT(ome_key, reserved, 12);
AT(ome_key, name, 16);
AT(ome_key, dflt, 24);
AT(ome_key, doc, 32);

SIZE(ome_factory, 56);
AT(ome_factory, struct_size, 0);
AT(ome_factory, threads, 4);
AT(ome_factory, kind, 8);
AT(ome_factory, name, 16);
AT(ome_factory, keys, 24);
AT(ome_factory, ops, 32);
AT(ome_factory, create, 40);
AT(ome_factory, destroy, 48);

SIZE(ome_plugin, 56);
AT(ome_plugin, struct_size, 0);
AT(ome_plugin, abi_epoch, 4);
AT(ome_plugin, abi_minor, 8);
AT(ome_plugin, min_host_minor, 12);
AT(ome_plugin, name, 16);
AT(ome_plugin, version, 24);
AT(ome_plugin, license, 32);
AT(ome_plugin, summary, 40);
AT(ome_plugin, factories, 48);

SIZE(ome_object_sink, 24);
AT(ome_object_sink, struct_size, 0);
AT(ome_object_sink, reserved, 4);
AT(ome_object_sink, ctx, 8);
AT(ome_object_sink, object, 16);

SIZE(ome_render_req, 72);
AT(ome_render_req, struct_size, 0);
AT(ome_render_req, flags, 4);
AT(ome_render_req, service, 8);
AT(ome_render_req, component, 24);
AT(ome_render_req, components, 40);
AT(ome_render_req, cluster, 56);

#if OME_ABI_MINOR == 0u
SIZE(ome_status, 1040);
#else
SIZE(ome_status, 1048);
AT(ome_status, addresses, 1040);
#endif
AT(ome_status, struct_size, 0);
AT(ome_status, phase, 4);
AT(ome_status, ready, 8);
AT(ome_status, desired, 12);
AT(ome_status, reason, 16);
AT(ome_status, message, 80);
AT(ome_status, url, 528);

SIZE(ome_render_ops, 32);
AT(ome_render_ops, struct_size, 0);
AT(ome_render_ops, caps, 4);
AT(ome_render_ops, render, 8);
AT(ome_render_ops, observe, 16);
AT(ome_render_ops, needs, 24);

#if OME_ABI_MINOR == 0u
SIZE(ome_model_facts, 152);
#else
SIZE(ome_model_facts, 184);
AT(ome_model_facts, pipeline, 176);
AT(ome_model_facts, experts, 152);
AT(ome_model_facts, kv_latent, 156);
AT(ome_model_facts, hidden, 160);
AT(ome_model_facts, intermediate, 168);

SIZE(ome_deployment_facts, 48);
AT(ome_deployment_facts, struct_size, 0);
AT(ome_deployment_facts, flags, 4);
AT(ome_deployment_facts, image, 8);
AT(ome_deployment_facts, command, 16);
AT(ome_deployment_facts, context, 24);
AT(ome_deployment_facts, concurrency, 32);
AT(ome_deployment_facts, devices, 36);
AT(ome_deployment_facts, nodes, 40);
AT(ome_deployment_facts, reserved, 44);
#endif
AT(ome_model_facts, struct_size, 0);
AT(ome_model_facts, flags, 4);
AT(ome_model_facts, name, 8);
AT(ome_model_facts, type, 16);
AT(ome_model_facts, architecture, 24);
AT(ome_model_facts, format, 32);
AT(ome_model_facts, format_version, 40);
AT(ome_model_facts, framework, 48);
AT(ome_model_facts, framework_version, 56);
AT(ome_model_facts, quantization, 64);
AT(ome_model_facts, dtype, 72);
AT(ome_model_facts, capabilities, 80);
AT(ome_model_facts, parameters, 88);
AT(ome_model_facts, active_parameters, 96);
AT(ome_model_facts, weight_bytes, 104);
AT(ome_model_facts, kv_bytes_per_token, 112);
AT(ome_model_facts, context_length, 120);
AT(ome_model_facts, layers, 128);
AT(ome_model_facts, heads, 132);
AT(ome_model_facts, kv_heads, 136);
AT(ome_model_facts, head_size, 140);
AT(ome_model_facts, vocabulary, 144);

#if OME_ABI_MINOR == 0u
SIZE(ome_supported_format, 96);
#else
SIZE(ome_supported_format, 104);
AT(ome_supported_format, pipeline, 96);
#endif
AT(ome_supported_format, struct_size, 0);
AT(ome_supported_format, flags, 4);
AT(ome_supported_format, format, 8);
AT(ome_supported_format, format_version, 16);
AT(ome_supported_format, format_operator, 24);
AT(ome_supported_format, format_weight, 32);
AT(ome_supported_format, framework, 40);
AT(ome_supported_format, framework_version, 48);
AT(ome_supported_format, framework_operator, 56);
AT(ome_supported_format, framework_weight, 64);
AT(ome_supported_format, architecture, 72);
AT(ome_supported_format, quantization, 80);
AT(ome_supported_format, priority, 88);

#if OME_ABI_MINOR == 0u
SIZE(ome_runtime_facts, 56);
#else
SIZE(ome_runtime_facts, 80);
AT(ome_runtime_facts, accelerators, 56);
AT(ome_runtime_facts, components, 64);
AT(ome_runtime_facts, devices, 68);
AT(ome_runtime_facts, nodes, 72);
AT(ome_runtime_facts, reserved, 76);

SIZE(ome_wish_facts, 32);
AT(ome_wish_facts, struct_size, 0);
AT(ome_wish_facts, flags, 4);
AT(ome_wish_facts, accelerators, 8);
AT(ome_wish_facts, protocol, 16);
AT(ome_wish_facts, components, 24);
AT(ome_wish_facts, own, 28);
#endif
AT(ome_runtime_facts, struct_size, 0);
AT(ome_runtime_facts, flags, 4);
AT(ome_runtime_facts, name, 8);
AT(ome_runtime_facts, formats, 16);
AT(ome_runtime_facts, size_min, 32);
AT(ome_runtime_facts, size_max, 40);
AT(ome_runtime_facts, protocols, 48);

SIZE(ome_accelerator_facts, 72);
AT(ome_accelerator_facts, struct_size, 0);
AT(ome_accelerator_facts, flags, 4);
AT(ome_accelerator_facts, name, 8);
AT(ome_accelerator_facts, vendor, 16);
AT(ome_accelerator_facts, family, 24);
AT(ome_accelerator_facts, model, 32);
AT(ome_accelerator_facts, compute_capability, 40);
AT(ome_accelerator_facts, resource, 48);
AT(ome_accelerator_facts, memory_bytes, 56);
AT(ome_accelerator_facts, devices_per_node, 64);
AT(ome_accelerator_facts, devices_free, 68);

#if OME_ABI_MINOR == 0u
SIZE(ome_score_req, 48);
#else
SIZE(ome_score_req, 64);
AT(ome_score_req, deployment, 48);
AT(ome_score_req, wish, 56);
#endif
AT(ome_score_req, struct_size, 0);
AT(ome_score_req, flags, 4);
AT(ome_score_req, model, 8);
AT(ome_score_req, runtime, 16);
AT(ome_score_req, accelerator, 24);
AT(ome_score_req, service, 32);

SIZE(ome_term_sink, 32);
AT(ome_term_sink, struct_size, 0);
AT(ome_term_sink, reserved, 4);
AT(ome_term_sink, ctx, 8);
AT(ome_term_sink, points, 16);
AT(ome_term_sink, reject, 24);

#if OME_ABI_MINOR == 0u
SIZE(ome_setting_sink, 40);
#else
SIZE(ome_setting_sink, 48);
AT(ome_setting_sink, unfit, 40);
#endif
AT(ome_setting_sink, struct_size, 0);
AT(ome_setting_sink, reserved, 4);
AT(ome_setting_sink, ctx, 8);
AT(ome_setting_sink, arg, 16);
AT(ome_setting_sink, env, 24);
AT(ome_setting_sink, resource, 32);

SIZE(ome_scorer_ops, 24);
AT(ome_scorer_ops, struct_size, 0);
AT(ome_scorer_ops, caps, 4);
AT(ome_scorer_ops, score, 8);
AT(ome_scorer_ops, tune, 16);

SIZE(ome_http_req, 64);
AT(ome_http_req, struct_size, 0);
AT(ome_http_req, flags, 4);
AT(ome_http_req, method, 8);
AT(ome_http_req, url, 16);
AT(ome_http_req, headers, 24);
AT(ome_http_req, nheaders, 32);
AT(ome_http_req, body, 40);
AT(ome_http_req, max_body, 56);

SIZE(ome_http_sink, 32);
AT(ome_http_sink, struct_size, 0);
AT(ome_http_sink, reserved, 4);
AT(ome_http_sink, ctx, 8);
AT(ome_http_sink, head, 16);
AT(ome_http_sink, body, 24);

SIZE(ome_http_service, 16);
AT(ome_http_service, struct_size, 0);
AT(ome_http_service, reserved, 4);
AT(ome_http_service, perform, 8);

SIZE(ome_model_ref, 40);
AT(ome_model_ref, struct_size, 0);
AT(ome_model_ref, reserved, 4);
AT(ome_model_ref, uri, 8);
AT(ome_model_ref, revision, 16);
AT(ome_model_ref, params, 24);
AT(ome_model_ref, nparams, 32);

#if OME_ABI_MINOR == 0u
SIZE(ome_model_file, 64);
#else
SIZE(ome_model_file, 80);
AT(ome_model_file, digest_part_bytes, 64);
AT(ome_model_file, local_path, 72);
#endif
AT(ome_model_file, struct_size, 0);
AT(ome_model_file, digest_type, 4);
AT(ome_model_file, path, 8);
AT(ome_model_file, size, 16);
AT(ome_model_file, digest, 24);
AT(ome_model_file, url, 32);
AT(ome_model_file, etag, 40);
AT(ome_model_file, range_bytes, 48);
AT(ome_model_file, max_conns, 56);
AT(ome_model_file, reserved, 60);

SIZE(ome_file_sink, 32);
AT(ome_file_sink, struct_size, 0);
AT(ome_file_sink, reserved, 4);
AT(ome_file_sink, ctx, 8);
AT(ome_file_sink, revision, 16);
AT(ome_file_sink, file, 24);

SIZE(ome_kv_sink, 24);
AT(ome_kv_sink, struct_size, 0);
AT(ome_kv_sink, reserved, 4);
AT(ome_kv_sink, ctx, 8);
AT(ome_kv_sink, kv, 16);

SIZE(ome_byte_sink, 24);
AT(ome_byte_sink, struct_size, 0);
AT(ome_byte_sink, reserved, 4);
AT(ome_byte_sink, ctx, 8);
AT(ome_byte_sink, write, 16);

#if OME_ABI_MINOR == 0u
SIZE(ome_storage_ops, 40);
#else
SIZE(ome_storage_ops, 56);
AT(ome_storage_ops, upload, 40);
AT(ome_storage_ops, schemes, 48);

SIZE(ome_upload_file, 40);
AT(ome_upload_file, struct_size, 0);
AT(ome_upload_file, reserved, 4);
AT(ome_upload_file, path, 8);
AT(ome_upload_file, size, 16);
AT(ome_upload_file, sha256, 24);
AT(ome_upload_file, md5, 32);

SIZE(ome_upload_request, 72);
AT(ome_upload_request, struct_size, 0);
AT(ome_upload_request, flags, 4);
AT(ome_upload_request, method, 8);
AT(ome_upload_request, url, 16);
AT(ome_upload_request, headers, 24);
AT(ome_upload_request, nheaders, 32);
AT(ome_upload_request, body, 40);
AT(ome_upload_request, offset, 56);
AT(ome_upload_request, len, 64);

SIZE(ome_upload_answer, 40);
AT(ome_upload_answer, struct_size, 0);
AT(ome_upload_answer, status, 4);
AT(ome_upload_answer, headers, 8);
AT(ome_upload_answer, nheaders, 16);
AT(ome_upload_answer, body, 24);

SIZE(ome_uploader, 32);
AT(ome_uploader, struct_size, 0);
AT(ome_uploader, reserved, 4);
AT(ome_uploader, ctx, 8);
AT(ome_uploader, send, 16);
AT(ome_uploader, read, 24);
#endif
AT(ome_storage_ops, struct_size, 0);
AT(ome_storage_ops, caps, 4);
AT(ome_storage_ops, match, 8);
AT(ome_storage_ops, list, 16);
AT(ome_storage_ops, headers, 24);
AT(ome_storage_ops, read, 32);

/* ---- constants ---- */

SAME(OME_OK == 0);
SAME(OME_E_INVALID == -1);
SAME(OME_E_NOT_FOUND == -2);
SAME(OME_E_EXISTS == -3);
SAME(OME_E_DENIED == -4);
SAME(OME_E_BUSY == -5);
SAME(OME_E_UNAVAILABLE == -6);
SAME(OME_E_DEADLINE == -7);
SAME(OME_E_CANCELLED == -8);
SAME(OME_E_NO_SPACE == -9);
SAME(OME_E_NO_MEMORY == -10);
SAME(OME_E_CORRUPT == -11);
SAME(OME_E_CONFLICT == -12);
SAME(OME_E_UNSUPPORTED == -13);
SAME(OME_E_INTERNAL == -14);
#if OME_ABI_MINOR >= 3u
SAME(OME_E_GATED == -15);
#endif
SAME(OME_THREADS_SERIAL == 0);
SAME(OME_THREADS_PER_INSTANCE == 1);
SAME(OME_THREADS_PARALLEL == 2);
SAME(OME_LOG_ERROR == 0);
SAME(OME_LOG_WARNING == 1);
SAME(OME_LOG_INFO == 2);
SAME(OME_LOG_DEBUG == 3);
SAME(OME_KEY_STRING == 0);
SAME(OME_KEY_BOOL == 1);
SAME(OME_KEY_INT == 2);
SAME(OME_KEY_SIZE == 3);
SAME(OME_KEY_DURATION == 4);
SAME(OME_KEY_SECRET == 5);
SAME(OME_KEY_REQUIRED == 1u);
SAME(OME_PHASE_PENDING == 0);
SAME(OME_PHASE_PROGRESSING == 1);
SAME(OME_PHASE_READY == 2);
SAME(OME_PHASE_FAILED == 3);
SAME(OME_FORMAT_AUTO_SELECT == 1u);
SAME(OME_FORMAT_HAS_PRIORITY == 2u);
SAME(OME_RUNTIME_CLUSTER_SCOPED == 1u);
SAME(OME_RUNTIME_DISABLED == 2u);
SAME(OME_HTTP_NO_REDIRECT == 1u);
SAME(OME_DIGEST_NONE == 0);
SAME(OME_DIGEST_SHA256 == 1);
SAME(OME_DIGEST_GIT_SHA1 == 2);
SAME(OME_DIGEST_MD5 == 3);
SAME(OME_DIGEST_CRC32C == 4);
#if OME_ABI_MINOR >= 1u
SAME(OME_DIGEST_SHA1 == 5);
SAME(OME_DIGEST_CRC32 == 6);
SAME(OME_DIGEST_OF_PARTS == 0x100);
SAME(OME_SIZE_UNKNOWN == UINT64_MAX);
SAME(OME_SCORER_BY_ENTRY == 1u);
#endif
#if OME_ABI_MINOR >= 4u
SAME(OME_SCORER_BY_RUNTIME == 2u);
SAME(OME_COMPONENT_ENGINE == 1u);
SAME(OME_COMPONENT_DECODER == 2u);
SAME(OME_COMPONENT_ROUTER == 4u);
#endif
#if OME_ABI_MINOR >= 7u
SAME(OME_STORAGE_NO_FILES == 1u);
#endif

/* ---- names ---- */

int main(void) {
  static const struct {
    const char *now, *always;
  } names[] = {
    {OME_PLUGIN_SYMBOL, "ome_plugin_v1"},
    {OME_KIND_STORAGE, "ome.storage/1"},
    {OME_KIND_DEPLOYMENT, "ome.deployment/1"},
    {OME_KIND_AUTOSCALER, "ome.autoscaler/1"},
    {OME_KIND_INGRESS, "ome.ingress/1"},
    {OME_KIND_SCORER, "ome.scorer/1"},
    {OME_SERVICE_HTTP, "ome.http/1"},
#if OME_ABI_MINOR >= 1u
    {OME_REQUEST_URL, ":url"},
    {OME_REQUEST_EXPIRES, ":expires-ms"},
    {OME_REQUEST_SIGV4, ":aws-sigv4"},
    {OME_REQUEST_CREDENTIALS, ":aws-credentials"},
    {OME_REQUEST_CA, ":ca-file"},
#endif
#if OME_ABI_MINOR >= 6u
    {OME_REQUEST_CERT, ":cert-file"},
    {OME_REQUEST_KEY, ":key-file"},
#endif
  };

  for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
    if (strcmp(names[i].now, names[i].always) != 0)
      return 1;
  return 0;
}
