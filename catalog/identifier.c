/* SPDX-License-Identifier: Apache-2.0
 *
 * What may be a name or a user id. */
#include "base/utf8.h"
#include "catalog/key.h"

enum lam_code user_id_check(struct lam_slice bytes, struct lam_error *err) {
    size_t bad;
    if (bytes.size == 0)
        return ERR(err, LAM_INVALID, "user id is empty");
    if (bytes.size > USER_ID_MAX)
        return ERR(err, LAM_INVALID, "user id has %zu bytes, more than %d", bytes.size,
                   USER_ID_MAX);
    if (memchr(bytes.data, 0, bytes.size))
        return ERR(err, LAM_INVALID, "user id contains a zero byte");
    if (!utf8_valid(bytes, &bad))
        return ERR(err, LAM_INVALID, "user id is not UTF-8: byte 0x%02x at offset %zu",
                   bytes.data[bad], bad);
    return LAM_OK;
}

static bool is_letter(uint8_t c) {
    return c >= 'a' && c <= 'z';
}

static bool is_name_char(uint8_t c) {
    return is_letter(c) || (c >= '0' && c <= '9') || c == '_';
}

enum lam_code identifier_check(struct lam_slice name, const char *what, struct lam_error *err) {
    if (name.size == 0)
        return ERR_SQL(err, "42602", 0, "%s name is empty", what);
    int shown = name.size > IDENTIFIER_MAX ? IDENTIFIER_MAX : (int)name.size;
    const char *text = (const char *)name.data;
    if (name.size > IDENTIFIER_MAX)
        return ERR_SQL(err, "42602", 0, "%s name \"%.*s...\" has %zu characters, more than %d",
                       what, shown, text, name.size, IDENTIFIER_MAX);
    if (name.data[0] == '_')
        return ERR_SQL(err, "42602", 0,
                       "%s name \"%.*s\" is reserved: names that start with _ are the system's",
                       what, shown, text);
    for (size_t i = 0; i < name.size; i++)
        if (i == 0 ? !is_letter(name.data[i]) : !is_name_char(name.data[i]))
            return ERR_SQL(err, "42602", 0,
                           "%s name \"%.*s\" has a character that names may not have at %zu: they "
                           "start with a letter and go on with letters, digits and _",
                           what, shown, text, i + 1);
    return LAM_OK;
}
