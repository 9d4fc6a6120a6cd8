/* Regular expressions in a library that was built without PCRE2: see regex.h. Making one is an
 * error that says so; the other functions have nothing that they could be called with. */
#include "core/regex.h"

#include "base/assert.h"
#include "base/status.h"

bool rpi_regex_is_built_in(void)
{
    return false;
}

int rpi_regex_make(const rp_allocator *allocator, const rp_pattern *pattern, rpi_regex **ret_regex)
{
    (void)allocator;
    (void)ret_regex;
    return rpi_detail(RP_EUNSUPPORTED, "this library was built without %s",
                      pattern->kind == RP_REGEX ? "regular expressions (PCRE2)"
                                                : "PCRE2, which caseless UTF-8 needs");
}

void rpi_regex_free(rpi_regex *regex)
{
    RP_ASSERT(regex == NULL);
}

size_t rpi_regex_context(const rpi_regex *regex)
{
    RP_ASSERT(regex == NULL);
    return 0;
}

size_t rpi_regex_group_count(const rpi_regex *regex)
{
    RP_ASSERT(regex == NULL);
    return 0;
}

int rpi_regex_attempt(rpi_regex *regex, const rpi_regex_try *attempt, size_t *ret_start)
{
    RP_ASSERT(regex == NULL && attempt == NULL && ret_start == NULL);
    return RP_EUNSUPPORTED;
}

bool rpi_regex_group(const rpi_regex *regex, size_t group, size_t *ret_start, size_t *ret_end)
{
    RP_ASSERT(regex == NULL && group == 0 && ret_start == NULL && ret_end == NULL);
    return false;
}
