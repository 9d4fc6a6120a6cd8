/* See observer.h: the list of a process's observers, and telling them. Those of a closed process
 * stay in the list and are told nothing. */
#include "core/observer.h"

#include "core/process.h"

static rpi_observer *observer_at(rpi_list *place)
{
    return RPI_CONTAINER(place, rpi_observer, node);
}

/* The observer whose turn it is, or NULL behind the last. It may take itself out meanwhile, and the
 * process may be closed. */
static rpi_observer *take_next(const rp_process *process, rpi_list **next)
{
    rpi_list *place = *next;

    if (place == &process->observers || process->closed) {
        return NULL;
    }
    *next = place->next;
    return observer_at(place);
}

void rpi_observer_add(rp_process *process,
                      rpi_observer *observer,
                      const rpi_observer_api *api,
                      bool first)
{
    observer->api = api;
    if (first) {
        rpi_list_prepend(&process->observers, &observer->node);
    } else {
        rpi_list_append(&process->observers, &observer->node);
    }
}

void rpi_observer_remove(rpi_observer *observer)
{
    rpi_list_remove(&observer->node);
}

void rpi_observers_output(rp_process *process, rpi_stream *stream, rp_view bytes)
{
    rpi_list *next = process->observers.next;
    rpi_observer *observer = NULL;

    while ((observer = take_next(process, &next)) != NULL) {
        if (observer->api->output != NULL) {
            observer->api->output(observer, stream, bytes);
        }
    }
}

void rpi_observers_input(rp_process *process, const rpi_input *input)
{
    rpi_list *next = process->observers.next;
    rpi_observer *observer = NULL;

    while ((observer = take_next(process, &next)) != NULL) {
        if (observer->api->input != NULL) {
            observer->api->input(observer, input);
        }
    }
}

void rpi_observers_ended(rp_process *process, rpi_stream *stream)
{
    rpi_list *next = process->observers.next;
    rpi_observer *observer = NULL;

    while ((observer = take_next(process, &next)) != NULL) {
        if (observer->api->ended != NULL) {
            observer->api->ended(observer, stream);
        }
    }
}

void rpi_observers_exited(rp_process *process)
{
    rpi_list *next = process->observers.next;
    rpi_observer *observer = NULL;

    while ((observer = take_next(process, &next)) != NULL) {
        if (observer->api->exited != NULL) {
            observer->api->exited(observer);
        }
    }
}

bool rpi_observers_hold_done(const rp_process *process)
{
    rpi_list *next = process->observers.next;
    const rpi_observer *observer = NULL;

    while ((observer = take_next(process, &next)) != NULL) {
        if (observer->api->holds_done != NULL && observer->api->holds_done(observer)) {
            return true;
        }
    }
    return false;
}

void rpi_observers_closed(rp_process *process)
{
    rpi_list *next = process->observers.next;
    rpi_observer *observer = NULL;

    while ((observer = take_next(process, &next)) != NULL) {
        if (observer->api->closed != NULL) {
            observer->api->closed(observer);
        }
    }
}

void rpi_observers_drop(rp_process *process)
{
    rpi_list *place = NULL;

    while ((place = rpi_list_take_first(&process->observers)) != NULL) {
        observer_at(place)->api->drop(observer_at(place));
    }
}
