/* An intrusive, circular, doubly linked list. The owner of an element embeds a node; a list is a
 * node that stands for no element. A node that is in no list points to itself, so that removing
 * twice is harmless and membership can be asked. Used by every room for queues whose elements must
 * leave from the middle (cancel, close). */
#ifndef RPI_BASE_LIST_H
#define RPI_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

typedef struct rpi_list rpi_list;
struct rpi_list {
    rpi_list *next;
    rpi_list *previous;
};

/** The struct of `type` whose member `member` is `node`. */
#define RPI_CONTAINER(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

/** Makes a list empty, or a node be in no list. */
static inline void rpi_list_init(rpi_list *list)
{
    list->next = list;
    list->previous = list;
}

/** Whether a list has no element; of a node: whether it is in no list. */
static inline bool rpi_list_is_empty(const rpi_list *list)
{
    return list->next == list;
}

/** Puts `node`, which is in no list, at the end of `list`. */
static inline void rpi_list_append(rpi_list *list, rpi_list *node)
{
    node->previous = list->previous;
    node->next = list;
    list->previous->next = node;
    list->previous = node;
}

/** Puts `node`, which is in no list, at the front of `list`. */
static inline void rpi_list_prepend(rpi_list *list, rpi_list *node)
{
    rpi_list_append(list->next, node);
}

/** Takes a node out of its list; nothing happens when it is in none. */
static inline void rpi_list_remove(rpi_list *node)
{
    node->previous->next = node->next;
    node->next->previous = node->previous;
    rpi_list_init(node);
}

/** Takes the first node out; NULL when the list is empty. */
static inline rpi_list *rpi_list_take_first(rpi_list *list)
{
    rpi_list *node = list->next;

    if (node == list) {
        return NULL;
    }
    rpi_list_remove(node);
    return node;
}

/** Moves all elements of `from` behind those of `to`; `from` is empty afterwards. */
static inline void rpi_list_move_all(rpi_list *to, rpi_list *from)
{
    if (rpi_list_is_empty(from)) {
        return;
    }
    from->next->previous = to->previous;
    to->previous->next = from->next;
    from->previous->next = to;
    to->previous = from->previous;
    rpi_list_init(from);
}

#endif
