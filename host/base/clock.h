/* Time: monotonic for durations and deadlines, wall for stamps.  Pure code takes "now" as an argument. */
#ifndef HOST_BASE_CLOCK_H
#define HOST_BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#define TIME_TEXT 21    /* "2026-01-02T03:04:05Z" */
#define TIME_TEXT_MS 25 /* "2026-01-02T03:04:05.678Z" */
#define TIME_TEXT_US 28 /* "2026-01-02T03:04:05.678901Z" */

uint64_t mono_ns(void);
uint64_t mono_ms(void);
uint64_t cpu_ns(void); /* what the process has used of its processors, all threads together */
int64_t wall_ms(void); /* since 1970, UTC */
int64_t wall_us(void);

/* RFC 3339, UTC: metav1.Time and metav1.MicroTime. */
void time_format(int64_t seconds, char out[TIME_TEXT]);
void time_format_ms(int64_t ms, char out[TIME_TEXT_MS]);
void time_format_us(int64_t us, char out[TIME_TEXT_US]);
bool time_parse(const char *text, int64_t *out_ms); /* any RFC 3339 offset and fraction */

#endif
