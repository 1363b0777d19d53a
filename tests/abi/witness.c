/* One function for each struct of the ABI, so that their layout is in this library's debug information and abidiff can
 * compare it with the baseline.  Plugins reach most of them through void pointers, which hide them from it. */
#include <ome/render.h>
#include <ome/scorer.h>
#include <ome/service.h>
#include <ome/storage.h>

#define WITNESS(type)                                                                                                  \
  OME_EXPORT void witness_##type(const struct type *);                                                                 \
  void witness_##type(const struct type *p) {                                                                          \
    (void)p;                                                                                                           \
  }

WITNESS(ome_bytes)
WITNESS(ome_kv)
WITNESS(ome_list)
WITNESS(ome_err)
WITNESS(ome_call)
WITNESS(ome_host)
WITNESS(ome_key)
WITNESS(ome_factory)
WITNESS(ome_plugin)
WITNESS(ome_object_sink)
WITNESS(ome_render_req)
WITNESS(ome_status)
WITNESS(ome_render_ops)
WITNESS(ome_model_facts)
WITNESS(ome_supported_format)
WITNESS(ome_runtime_facts)
WITNESS(ome_accelerator_facts)
WITNESS(ome_deployment_facts)
WITNESS(ome_wish_facts)
WITNESS(ome_score_req)
WITNESS(ome_term_sink)
WITNESS(ome_setting_sink)
WITNESS(ome_scorer_ops)
WITNESS(ome_http_req)
WITNESS(ome_http_sink)
WITNESS(ome_http_service)
WITNESS(ome_model_ref)
WITNESS(ome_model_file)
WITNESS(ome_file_sink)
WITNESS(ome_kv_sink)
WITNESS(ome_byte_sink)
WITNESS(ome_upload_file)
WITNESS(ome_upload_request)
WITNESS(ome_upload_answer)
WITNESS(ome_uploader)
WITNESS(ome_storage_ops)
