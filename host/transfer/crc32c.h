/* CRC-32C (Castagnoli polynomial, RFC 3720 appendix B.4), with the processor's own instruction where it has one. */
#ifndef HOST_TRANSFER_CRC32C_H
#define HOST_TRANSFER_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Goes on from CRC, 0 at first, as zlib's crc32() does.  [any-thread] */
uint32_t crc32c(uint32_t crc, const void *data, size_t len);

#endif
