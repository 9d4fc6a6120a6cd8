/* The thin runner's part for Windows: a case runs in this program started again, in a job that ends
 * with it whatever it has started. Its exit code is asked of the system, all 32 bits of it, as what
 * an emulator hands on to its own caller cannot be trusted. See runner.h. */
#include "tests/support/runner.h"

#include <windows.h>

enum {
    EXIT_BY_EXCEPTION = 0x3 /* the two highest bits of an exit code that is an exception's */
};

/* Where a case leaves the reason of a skip: a file beside nothing else, named by its process. */
static void reason_path(DWORD pid, char *text, size_t size)
{
    char folder[MAX_PATH] = "";

    (void)GetTempPathA(MAX_PATH, folder); // empty: then the current folder
    (void)snprintf(text, size, "%srp-runner-%lu", folder, (unsigned long)pid);
}

double runner_now(void)
{
    LARGE_INTEGER frequency;
    LARGE_INTEGER now;

    (void)QueryPerformanceFrequency(&frequency); // cannot fail
    (void)QueryPerformanceCounter(&now);
    return (double)now.QuadPart / (double)frequency.QuadPart;
}

void runner_keep_reason(const char *reason)
{
    char path[MAX_PATH + 40];
    FILE *file;

    reason_path(GetCurrentProcessId(), path, sizeof path);
    file = fopen(path, "wb");
    if (file != NULL) {
        (void)fputs(reason, file);
        (void)fclose(file);
    }
}

_Noreturn void runner_leave(int exit_code)
{
    (void)fflush(stdout);
    ExitProcess((UINT)exit_code);
}

/** Takes what the case of this number left. */
static void take_reason(DWORD pid, runner_end *ret)
{
    char path[MAX_PATH + 40];
    FILE *file;

    reason_path(pid, path, sizeof path);
    file = fopen(path, "rb");
    if (file != NULL) {
        const size_t size = fread(ret->reason, 1, sizeof ret->reason - 1, file);

        ret->reason[size] = '\0';
        (void)fclose(file);
        (void)remove(path);
    }
}

static HANDLE make_job(void)
{
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits = {
        .BasicLimitInformation = {.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE}};
    const HANDLE job = CreateJobObjectW(NULL, NULL);

    if (job != NULL) {
        (void)SetInformationJobObject(job, JobObjectExtendedLimitInformation, &limits,
                                      sizeof limits); // without it the end of the job is asked for
    }
    return job;
}

/** Starts the case: false: error in ret->number. */
static bool start(const runner_case *one, HANDLE job, PROCESS_INFORMATION *process, runner_end *ret)
{
    STARTUPINFOW startup = {.cb = sizeof startup};
    wchar_t program[MAX_PATH];
    wchar_t line[2 * MAX_PATH];

    (void)GetModuleFileNameW(NULL, program, MAX_PATH);
    (void)swprintf(line, sizeof line / sizeof *line, L"\"%ls\" --case %hs", program, one->name);
    if (!CreateProcessW(program, line, NULL, NULL, TRUE, CREATE_SUSPENDED, NULL, NULL, &startup,
                        process)) {
        ret->how = RUNNER_ABSENT;
        ret->number = (int)GetLastError();
        return false;
    }
    if (job != NULL) {
        (void)AssignProcessToJobObject(job,
                                       process->hProcess); // else only the case itself is ended
    }
    (void)ResumeThread(process->hThread); // made by us
    (void)CloseHandle(process->hThread);
    return true;
}

void runner_carry_out(const char *program, const runner_case *one, double seconds, runner_end *ret)
{
    const HANDLE job = make_job();
    PROCESS_INFORMATION process;
    DWORD code = 0;

    (void)program; // the system knows its path
    (void)fflush(NULL);
    if (start(one, job, &process, ret)) {
        ret->how = RUNNER_EXITED;
        if (WaitForSingleObject(process.hProcess, (DWORD)(seconds * 1000)) == WAIT_TIMEOUT) {
            ret->how = RUNNER_HUNG;
            (void)TerminateProcess(process.hProcess, RUNNER_FAILED); // ended meanwhile: as well
            (void)WaitForSingleObject(process.hProcess, INFINITE);
        }
        (void)GetExitCodeProcess(process.hProcess, &code); // ours, and over
        ret->number = (int)code;
        if (ret->how == RUNNER_EXITED && code >> 30 == EXIT_BY_EXCEPTION) {
            ret->how = RUNNER_CRASHED;
        }
        take_reason(process.dwProcessId, ret);
        (void)CloseHandle(process.hProcess);
    }
    if (job != NULL) {
        (void)CloseHandle(job); // with whatever the case has left
    }
}
