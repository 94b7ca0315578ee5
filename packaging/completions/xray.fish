# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_xray_global_optspecs
    string join \n a/resource-arn= o/local-mode= m/buffer-memory= n/region= b/bind= t/bind-tcp= r/role-arn= c/config= f/log-file= l/log-level= p/proxy-address= v/version h/help log-format= spool-dir= spool-size= connect-timeout= call-timeout= shutdown-timeout= no-tcp= proxy-allow= allow-host= no-telemetry= otlp-listen= otlp-allow-origin= otlp-endpoint= segments-to= spans-to= print-config=
end

function __fish_xray_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_xray_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_xray_using_subcommand
    set -l cmd (__fish_xray_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c xray -n "__fish_xray_needs_command" -s a -l resource-arn -d 'ARN of the AWS resource that the daemon runs on, for telemetry' -r
complete -c xray -n "__fish_xray_needs_command" -s o -l local-mode -d 'Ask no EC2 or ECS metadata for the region' -r
complete -c xray -n "__fish_xray_needs_command" -s m -l buffer-memory -d 'Memory that segments may wait in, at least 3 [default: 1 % of the memory there is]' -r
complete -c xray -n "__fish_xray_needs_command" -s n -l region -d 'AWS region of the X-Ray service' -r
complete -c xray -n "__fish_xray_needs_command" -s b -l bind -d 'UDP address for segments [default: 127.0.0.1:2000]' -r
complete -c xray -n "__fish_xray_needs_command" -s t -l bind-tcp -d 'TCP address for sampling calls [default: 127.0.0.1:2000]' -r
complete -c xray -n "__fish_xray_needs_command" -s r -l role-arn -d 'IAM role to assume, to send to another account' -r
complete -c xray -n "__fish_xray_needs_command" -s c -l config -d 'Configuration file [default: /etc/amazon/xray/cfg.yaml, then ./cfg.yaml]' -r -F
complete -c xray -n "__fish_xray_needs_command" -s f -l log-file -d 'Log to this file and not to stdout' -r -F
complete -c xray -n "__fish_xray_needs_command" -s l -l log-level -d 'What to log, most first: dev, debug, info, warn, error [default: prod, which is info]' -r
complete -c xray -n "__fish_xray_needs_command" -s p -l proxy-address -d 'HTTP proxy on the way to AWS' -r
complete -c xray -n "__fish_xray_needs_command" -l log-format -d 'text (the lines of the official daemon) or json [default: text]' -r
complete -c xray -n "__fish_xray_needs_command" -l spool-dir -d 'Keep segments in this directory when memory is full [default: drop the oldest]' -r -f -a "(__fish_complete_directories)"
complete -c xray -n "__fish_xray_needs_command" -l spool-size -d 'Most that the spool may take up, at least 16 [default: 1024]' -r
complete -c xray -n "__fish_xray_needs_command" -l connect-timeout -d 'Time to connect to the service, such as 500ms, 3s [default: 3s]' -r
complete -c xray -n "__fish_xray_needs_command" -l call-timeout -d 'Time for one call to the service, from credentials to its answer [default: 15s]' -r
complete -c xray -n "__fish_xray_needs_command" -l shutdown-timeout -d 'Time to send what waits when told to stop, such as 500ms, 8s, 1m30s [default: 8s]' -r
complete -c xray -n "__fish_xray_needs_command" -l no-tcp -d 'Open no TCP port: no sampling, no health, no metrics' -r
complete -c xray -n "__fish_xray_needs_command" -l proxy-allow -d 'Forward POST requests to this path of the X-Ray API too, signed; may be repeated' -r
complete -c xray -n "__fish_xray_needs_command" -l allow-host -d 'Let the TCP port be called by this host name, by all below .NAME; may be repeated' -r
complete -c xray -n "__fish_xray_needs_command" -l no-telemetry -d 'Send X-Ray no counts about the daemon itself' -r
complete -c xray -n "__fish_xray_needs_command" -l otlp-listen -d 'Take OTLP here too, over HTTP and gRPC, such as 127.0.0.1:4318; may be repeated' -r
complete -c xray -n "__fish_xray_needs_command" -l otlp-allow-origin -d 'Let web pages of this origin send OTLP (https://app.example.com); may be repeated' -r
complete -c xray -n "__fish_xray_needs_command" -l otlp-endpoint -d 'Send OTLP there, over HTTP: the base to which v1/traces and so on are appended' -r
complete -c xray -n "__fish_xray_needs_command" -l segments-to -d 'Where segments go: xray, otlp [default: both with an OTLP endpoint, else xray]' -r
complete -c xray -n "__fish_xray_needs_command" -l spans-to -d 'Where spans go: xray, otlp [default: otlp with an OTLP endpoint, else xray]' -r
complete -c xray -n "__fish_xray_needs_command" -l print-config -d 'Print each setting with the place it comes from, and end' -r
complete -c xray -n "__fish_xray_needs_command" -s v -l version -d 'Print the version'
complete -c xray -n "__fish_xray_needs_command" -s h -l help -d 'Print this text'
complete -c xray -n "__fish_xray_needs_command" -f -a "healthcheck" -d 'Asks the daemon on this machine whether it runs. Prints one line; exits 0 if it does, else 1.'
complete -c xray -n "__fish_xray_needs_command" -f -a "doctor" -d 'Says why there are no traces: looks at settings, ports, the daemon that runs, credentials and the way to X-Ray. A line for each check, within ten seconds; changes nothing. Exits 0 if nothing failed, 1 if something did.'
complete -c xray -n "__fish_xray_needs_command" -f -a "dev" -d 'X-Ray on this machine: it receives segments as the daemon does, answers the X-Ray API and has a page to look at traces. Nothing is sent to AWS.'
complete -c xray -n "__fish_xray_needs_command" -f -a "send" -d 'Send one segment to a daemon over UDP, as an SDK does: a sample, or the document in FILE (- for stdin).'
complete -c xray -n "__fish_xray_needs_command" -f -a "traces" -d 'Lists the traces of a running xray dev, a line each, the latest last. FILTER is a filter expression, or words that a trace mentions in URL, name, service, annotations or exceptions. Exits 0 when there was one, 1 when there was none, 2 when the command line or the filter is wrong, 3 when no xray dev answers.'
complete -c xray -n "__fish_xray_needs_command" -f -a "trace" -d 'Shows one trace of a running xray dev as a tree, with hints about what went wrong in who sent it. ID is a trace id as X-Ray, OpenTelemetry (32 hex digits), a tracing header or the page\'s address has it. Exits 0 when it is there, 1 when it is not, 2 when the command line is wrong, 3 when no xray dev answers.'
complete -c xray -n "__fish_xray_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c xray -n "__fish_xray_using_subcommand healthcheck" -s a -l resource-arn -d 'ARN of the AWS resource that the daemon runs on, for telemetry' -r
complete -c xray -n "__fish_xray_using_subcommand healthcheck" -s o -l local-mode -d 'Ask no EC2 or ECS metadata for the region' -r
complete -c xray -n "__fish_xray_using_subcommand healthcheck" -s m -l buffer-memory -d 'Memory that segments may wait in, at least 3 [default: 1 % of the memory there is]' -r
complete -c xray -n "__fish_xray_using_subcommand healthcheck" -s n -l region -d 'AWS region of the X-Ray service' -r
complete -c xray -n "__fish_xray_using_subcommand healthcheck" -s b -l bind -d 'UDP address for segments [default: 127.0.0.1:2000]' -r
complete -c xray -n "__fish_xray_using_subcommand healthcheck" -s t -l bind-tcp -d 'TCP address for sampling calls [default: 127.0.0.1:2000]' -r
complete -c xray -n "__fish_xray_using_subcommand healthcheck" -s r -l role-arn -d 'IAM role to assume, to send to another account' -r
complete -c xray -n "__fish_xray_using_subcommand healthcheck" -s c -l config -d 'Configuration file [default: /etc/amazon/xray/cfg.yaml, then ./cfg.yaml]' -r -F
complete -c xray -n "__fish_xray_using_subcommand healthcheck" -s f -l log-file -d 'Log to this file and not to stdout' -r -F
complete -c xray -n "__fish_xray_using_subcommand healthcheck" -s l -l log-level -d 'What to log, most first: dev, debug, info, warn, error [default: prod, which is info]' -r
complete -c xray -n "__fish_xray_using_subcommand healthcheck" -s p -l proxy-address -d 'HTTP proxy on the way to AWS' -r
complete -c xray -n "__fish_xray_using_subcommand healthcheck" -l log-format -d 'text (the lines of the official daemon) or json [default: text]' -r
complete -c xray -n "__fish_xray_using_subcommand healthcheck" -l spool-dir -d 'Keep segments in this directory when memory is full [default: drop the oldest]' -r -f -a "(__fish_complete_directories)"
complete -c xray -n "__fish_xray_using_subcommand healthcheck" -l spool-size -d 'Most that the spool may take up, at least 16 [default: 1024]' -r
complete -c xray -n "__fish_xray_using_subcommand healthcheck" -l connect-timeout -d 'Time to connect to the service, such as 500ms, 3s [default: 3s]' -r
complete -c xray -n "__fish_xray_using_subcommand healthcheck" -l call-timeout -d 'Time for one call to the service, from credentials to its answer [default: 15s]' -r
complete -c xray -n "__fish_xray_using_subcommand healthcheck" -l shutdown-timeout -d 'Time to send what waits when told to stop, such as 500ms, 8s, 1m30s [default: 8s]' -r
complete -c xray -n "__fish_xray_using_subcommand healthcheck" -l no-tcp -d 'Open no TCP port: no sampling, no health, no metrics' -r
complete -c xray -n "__fish_xray_using_subcommand healthcheck" -l proxy-allow -d 'Forward POST requests to this path of the X-Ray API too, signed; may be repeated' -r
complete -c xray -n "__fish_xray_using_subcommand healthcheck" -l allow-host -d 'Let the TCP port be called by this host name, by all below .NAME; may be repeated' -r
complete -c xray -n "__fish_xray_using_subcommand healthcheck" -l no-telemetry -d 'Send X-Ray no counts about the daemon itself' -r
complete -c xray -n "__fish_xray_using_subcommand healthcheck" -l otlp-listen -d 'Take OTLP here too, over HTTP and gRPC, such as 127.0.0.1:4318; may be repeated' -r
complete -c xray -n "__fish_xray_using_subcommand healthcheck" -l otlp-allow-origin -d 'Let web pages of this origin send OTLP (https://app.example.com); may be repeated' -r
complete -c xray -n "__fish_xray_using_subcommand healthcheck" -l otlp-endpoint -d 'Send OTLP there, over HTTP: the base to which v1/traces and so on are appended' -r
complete -c xray -n "__fish_xray_using_subcommand healthcheck" -l segments-to -d 'Where segments go: xray, otlp [default: both with an OTLP endpoint, else xray]' -r
complete -c xray -n "__fish_xray_using_subcommand healthcheck" -l spans-to -d 'Where spans go: xray, otlp [default: otlp with an OTLP endpoint, else xray]' -r
complete -c xray -n "__fish_xray_using_subcommand healthcheck" -l print-config -d 'Print each setting with the place it comes from, and end' -r
complete -c xray -n "__fish_xray_using_subcommand healthcheck" -l ready -d 'Ask whether the daemon can do its work: region, credentials, calls' -r
complete -c xray -n "__fish_xray_using_subcommand healthcheck" -s v -l version -d 'Print the version'
complete -c xray -n "__fish_xray_using_subcommand healthcheck" -s h -l help -d 'Print this text'
complete -c xray -n "__fish_xray_using_subcommand doctor" -s a -l resource-arn -d 'ARN of the AWS resource that the daemon runs on, for telemetry' -r
complete -c xray -n "__fish_xray_using_subcommand doctor" -s o -l local-mode -d 'Ask no EC2 or ECS metadata for the region' -r
complete -c xray -n "__fish_xray_using_subcommand doctor" -s m -l buffer-memory -d 'Memory that segments may wait in, at least 3 [default: 1 % of the memory there is]' -r
complete -c xray -n "__fish_xray_using_subcommand doctor" -s n -l region -d 'AWS region of the X-Ray service' -r
complete -c xray -n "__fish_xray_using_subcommand doctor" -s b -l bind -d 'UDP address for segments [default: 127.0.0.1:2000]' -r
complete -c xray -n "__fish_xray_using_subcommand doctor" -s t -l bind-tcp -d 'TCP address for sampling calls [default: 127.0.0.1:2000]' -r
complete -c xray -n "__fish_xray_using_subcommand doctor" -s r -l role-arn -d 'IAM role to assume, to send to another account' -r
complete -c xray -n "__fish_xray_using_subcommand doctor" -s c -l config -d 'Configuration file [default: /etc/amazon/xray/cfg.yaml, then ./cfg.yaml]' -r -F
complete -c xray -n "__fish_xray_using_subcommand doctor" -s f -l log-file -d 'Log to this file and not to stdout' -r -F
complete -c xray -n "__fish_xray_using_subcommand doctor" -s l -l log-level -d 'What to log, most first: dev, debug, info, warn, error [default: prod, which is info]' -r
complete -c xray -n "__fish_xray_using_subcommand doctor" -s p -l proxy-address -d 'HTTP proxy on the way to AWS' -r
complete -c xray -n "__fish_xray_using_subcommand doctor" -l log-format -d 'text (the lines of the official daemon) or json [default: text]' -r
complete -c xray -n "__fish_xray_using_subcommand doctor" -l spool-dir -d 'Keep segments in this directory when memory is full [default: drop the oldest]' -r -f -a "(__fish_complete_directories)"
complete -c xray -n "__fish_xray_using_subcommand doctor" -l spool-size -d 'Most that the spool may take up, at least 16 [default: 1024]' -r
complete -c xray -n "__fish_xray_using_subcommand doctor" -l connect-timeout -d 'Time to connect to the service, such as 500ms, 3s [default: 3s]' -r
complete -c xray -n "__fish_xray_using_subcommand doctor" -l call-timeout -d 'Time for one call to the service, from credentials to its answer [default: 15s]' -r
complete -c xray -n "__fish_xray_using_subcommand doctor" -l shutdown-timeout -d 'Time to send what waits when told to stop, such as 500ms, 8s, 1m30s [default: 8s]' -r
complete -c xray -n "__fish_xray_using_subcommand doctor" -l no-tcp -d 'Open no TCP port: no sampling, no health, no metrics' -r
complete -c xray -n "__fish_xray_using_subcommand doctor" -l proxy-allow -d 'Forward POST requests to this path of the X-Ray API too, signed; may be repeated' -r
complete -c xray -n "__fish_xray_using_subcommand doctor" -l allow-host -d 'Let the TCP port be called by this host name, by all below .NAME; may be repeated' -r
complete -c xray -n "__fish_xray_using_subcommand doctor" -l no-telemetry -d 'Send X-Ray no counts about the daemon itself' -r
complete -c xray -n "__fish_xray_using_subcommand doctor" -l otlp-listen -d 'Take OTLP here too, over HTTP and gRPC, such as 127.0.0.1:4318; may be repeated' -r
complete -c xray -n "__fish_xray_using_subcommand doctor" -l otlp-allow-origin -d 'Let web pages of this origin send OTLP (https://app.example.com); may be repeated' -r
complete -c xray -n "__fish_xray_using_subcommand doctor" -l otlp-endpoint -d 'Send OTLP there, over HTTP: the base to which v1/traces and so on are appended' -r
complete -c xray -n "__fish_xray_using_subcommand doctor" -l segments-to -d 'Where segments go: xray, otlp [default: both with an OTLP endpoint, else xray]' -r
complete -c xray -n "__fish_xray_using_subcommand doctor" -l spans-to -d 'Where spans go: xray, otlp [default: otlp with an OTLP endpoint, else xray]' -r
complete -c xray -n "__fish_xray_using_subcommand doctor" -l print-config -d 'Print each setting with the place it comes from, and end' -r
complete -c xray -n "__fish_xray_using_subcommand doctor" -l json -d 'Print JSON instead of lines' -r
complete -c xray -n "__fish_xray_using_subcommand doctor" -l no-calls -d 'Make no signed call to X-Ray' -r
complete -c xray -n "__fish_xray_using_subcommand doctor" -s v -l version -d 'Print the version'
complete -c xray -n "__fish_xray_using_subcommand doctor" -s h -l help -d 'Print this text'
complete -c xray -n "__fish_xray_using_subcommand dev" -l tree -d 'Print each finished trace as a tree' -r
complete -c xray -n "__fish_xray_using_subcommand dev" -l sampling -d 'The default rule: all samples every request, aws one a second and 5 % [default: all]' -r
complete -c xray -n "__fish_xray_using_subcommand dev" -l sampling-rules -d 'Sampling rules in the API\'s JSON, as `aws xray get-sampling-rules` prints them, or an SDK\'s local rules' -r -F
complete -c xray -n "__fish_xray_using_subcommand dev" -l store -d 'Keep traces in this file over restarts [default: in memory only]' -r -F
complete -c xray -n "__fish_xray_using_subcommand dev" -l open -d 'Show the traces in this file: output of aws xray batch-get-traces, segment documents, OTLP JSON; may be repeated' -r -F
complete -c xray -n "__fish_xray_using_subcommand dev" -l tail -d 'Show the lines of this log beside the traces whose ids they have; may be repeated' -r -F
complete -c xray -n "__fish_xray_using_subcommand dev" -l max-traces -d 'The most traces to keep, oldest out first [default: 10000]' -r
complete -c xray -n "__fish_xray_using_subcommand dev" -l max-store-mb -d 'The most memory for traces, beyond what an idle process has, 32 at least [default: 256]' -r
complete -c xray -n "__fish_xray_using_subcommand dev" -s b -l bind -d 'UDP address for segments [default: 127.0.0.1:2000]' -r
complete -c xray -n "__fish_xray_using_subcommand dev" -s t -l bind-tcp -d 'TCP address of page and API [default: 127.0.0.1:2000]' -r
complete -c xray -n "__fish_xray_using_subcommand dev" -l allow-host -d 'A host name with a dot under which page and API are asked; `.NAME`: all below it' -r
complete -c xray -n "__fish_xray_using_subcommand dev" -l otlp-listen -d 'Take OTLP here, over HTTP and gRPC; may be repeated; "": nowhere [default: 127.0.0.1:4317 and 127.0.0.1:4318]' -r
complete -c xray -n "__fish_xray_using_subcommand dev" -s m -l buffer-memory -d 'Memory that segments may wait in on their way to the store' -r
complete -c xray -n "__fish_xray_using_subcommand dev" -s l -l log-level -d 'What the daemon logs besides: dev, debug, info, warn, error [default: warn]' -r
complete -c xray -n "__fish_xray_using_subcommand dev" -s f -l log-file -d 'Log to this file and not to stdout' -r -F
complete -c xray -n "__fish_xray_using_subcommand dev" -l log-format -d 'text, or json: traces and log as one JSON object a line [default: text]' -r
complete -c xray -n "__fish_xray_using_subcommand dev" -l shutdown-timeout -d 'Time to take in what waits when told to stop [default: 8s]' -r
complete -c xray -n "__fish_xray_using_subcommand dev" -l print-config -d 'Print each setting with the place it comes from, and end' -r
complete -c xray -n "__fish_xray_using_subcommand dev" -s o -l local-mode -d 'Without effect: no metadata is asked for anyway' -r
complete -c xray -n "__fish_xray_using_subcommand dev" -s n -l region -d 'Without effect: nothing is sent to a region' -r
complete -c xray -n "__fish_xray_using_subcommand dev" -s h -l help -d 'Print this text'
complete -c xray -n "__fish_xray_using_subcommand send" -l to -d 'Where [default: AWS_XRAY_DAEMON_ADDRESS, or else 127.0.0.1:2000]' -r
complete -c xray -n "__fish_xray_using_subcommand send" -s h -l help -d 'Print this text'
complete -c xray -n "__fish_xray_using_subcommand traces" -l json -d 'Print each trace as a JSON object' -r
complete -c xray -n "__fish_xray_using_subcommand traces" -l follow -d 'Go on with traces as they are finished, until told to stop' -r
complete -c xray -n "__fish_xray_using_subcommand traces" -l limit -d 'The most traces that are there already, 1000 at most [default: 20; with --follow 0]' -r
complete -c xray -n "__fish_xray_using_subcommand traces" -l from -d 'The page\'s address [default: XRAY_BIND_TCP, or AWS_XRAY_DAEMON_ADDRESS, or else 127.0.0.1:2000]' -r
complete -c xray -n "__fish_xray_using_subcommand traces" -s h -l help -d 'Print this text'
complete -c xray -n "__fish_xray_using_subcommand trace" -l json -d 'Print a JSON object with the trace, its documents and hints' -r
complete -c xray -n "__fish_xray_using_subcommand trace" -l from -d 'The page\'s address [default: XRAY_BIND_TCP, or AWS_XRAY_DAEMON_ADDRESS, or else 127.0.0.1:2000]' -r
complete -c xray -n "__fish_xray_using_subcommand trace" -s h -l help -d 'Print this text'
complete -c xray -n "__fish_xray_using_subcommand help; and not __fish_seen_subcommand_from healthcheck doctor dev send traces trace help" -f -a "healthcheck" -d 'Asks the daemon on this machine whether it runs. Prints one line; exits 0 if it does, else 1.'
complete -c xray -n "__fish_xray_using_subcommand help; and not __fish_seen_subcommand_from healthcheck doctor dev send traces trace help" -f -a "doctor" -d 'Says why there are no traces: looks at settings, ports, the daemon that runs, credentials and the way to X-Ray. A line for each check, within ten seconds; changes nothing. Exits 0 if nothing failed, 1 if something did.'
complete -c xray -n "__fish_xray_using_subcommand help; and not __fish_seen_subcommand_from healthcheck doctor dev send traces trace help" -f -a "dev" -d 'X-Ray on this machine: it receives segments as the daemon does, answers the X-Ray API and has a page to look at traces. Nothing is sent to AWS.'
complete -c xray -n "__fish_xray_using_subcommand help; and not __fish_seen_subcommand_from healthcheck doctor dev send traces trace help" -f -a "send" -d 'Send one segment to a daemon over UDP, as an SDK does: a sample, or the document in FILE (- for stdin).'
complete -c xray -n "__fish_xray_using_subcommand help; and not __fish_seen_subcommand_from healthcheck doctor dev send traces trace help" -f -a "traces" -d 'Lists the traces of a running xray dev, a line each, the latest last. FILTER is a filter expression, or words that a trace mentions in URL, name, service, annotations or exceptions. Exits 0 when there was one, 1 when there was none, 2 when the command line or the filter is wrong, 3 when no xray dev answers.'
complete -c xray -n "__fish_xray_using_subcommand help; and not __fish_seen_subcommand_from healthcheck doctor dev send traces trace help" -f -a "trace" -d 'Shows one trace of a running xray dev as a tree, with hints about what went wrong in who sent it. ID is a trace id as X-Ray, OpenTelemetry (32 hex digits), a tracing header or the page\'s address has it. Exits 0 when it is there, 1 when it is not, 2 when the command line is wrong, 3 when no xray dev answers.'
complete -c xray -n "__fish_xray_using_subcommand help; and not __fish_seen_subcommand_from healthcheck doctor dev send traces trace help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
