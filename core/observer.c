/* See observer.h: the list of a process's observers, and telling them. Those of a closed process
 * stay in the list and are told nothing. */
#include "core/observer.h"

#include "core/process.h"

#define OBSERVER(place) RPI_CONTAINER(place, rpi_observer, node)

/* For each observer, which may take itself out meanwhile. */
#define EACH(process, place, following)                                                            \
    for (rpi_list *place = (process)->observers.next, *following = place->next;                    \
         place != &(process)->observers && !(process)->closed;                                     \
         place = following, following = place->next)

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
    EACH(process, place, following)
    {
        if (OBSERVER(place)->api->output != NULL) {
            OBSERVER(place)->api->output(OBSERVER(place), stream, bytes);
        }
    }
}

void rpi_observers_input(rp_process *process, const rpi_input *input)
{
    EACH(process, place, following)
    {
        if (OBSERVER(place)->api->input != NULL) {
            OBSERVER(place)->api->input(OBSERVER(place), input);
        }
    }
}

void rpi_observers_ended(rp_process *process, rpi_stream *stream)
{
    EACH(process, place, following)
    {
        if (OBSERVER(place)->api->ended != NULL) {
            OBSERVER(place)->api->ended(OBSERVER(place), stream);
        }
    }
}

void rpi_observers_exited(rp_process *process)
{
    EACH(process, place, following)
    {
        if (OBSERVER(place)->api->exited != NULL) {
            OBSERVER(place)->api->exited(OBSERVER(place));
        }
    }
}

bool rpi_observers_hold_done(const rp_process *process)
{
    EACH(process, place, following)
    {
        const rpi_observer *observer = OBSERVER(place);

        if (observer->api->holds_done != NULL && observer->api->holds_done(observer)) {
            return true;
        }
    }
    return false;
}

void rpi_observers_closed(rp_process *process)
{
    EACH(process, place, following)
    {
        if (OBSERVER(place)->api->closed != NULL) {
            OBSERVER(place)->api->closed(OBSERVER(place));
        }
    }
}

void rpi_observers_drop(rp_process *process)
{
    rpi_list *place = NULL;

    while ((place = rpi_list_take_first(&process->observers)) != NULL) {
        OBSERVER(place)->api->drop(OBSERVER(place));
    }
}
