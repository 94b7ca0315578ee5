
using namespace System.Management.Automation
using namespace System.Management.Automation.Language

Register-ArgumentCompleter -Native -CommandName 'xray' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $commandElements = $commandAst.CommandElements
    $command = @(
        'xray'
        for ($i = 1; $i -lt $commandElements.Count; $i++) {
            $element = $commandElements[$i]
            if ($element -isnot [StringConstantExpressionAst] -or
                $element.StringConstantType -ne [StringConstantType]::BareWord -or
                $element.Value.StartsWith('-') -or
                $element.Value -eq $wordToComplete) {
                break
        }
        $element.Value
    }) -join ';'

    $completions = @(switch ($command) {
        'xray' {
            [CompletionResult]::new('-a', '-a', [CompletionResultType]::ParameterName, 'ARN of the AWS resource that the daemon runs on, for telemetry')
            [CompletionResult]::new('--resource-arn', '--resource-arn', [CompletionResultType]::ParameterName, 'ARN of the AWS resource that the daemon runs on, for telemetry')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'Ask no EC2 or ECS metadata for the region')
            [CompletionResult]::new('--local-mode', '--local-mode', [CompletionResultType]::ParameterName, 'Ask no EC2 or ECS metadata for the region')
            [CompletionResult]::new('-m', '-m', [CompletionResultType]::ParameterName, 'Memory that segments may wait in, at least 3 [default: 1 % of the memory there is]')
            [CompletionResult]::new('--buffer-memory', '--buffer-memory', [CompletionResultType]::ParameterName, 'Memory that segments may wait in, at least 3 [default: 1 % of the memory there is]')
            [CompletionResult]::new('-n', '-n', [CompletionResultType]::ParameterName, 'AWS region of the X-Ray service')
            [CompletionResult]::new('--region', '--region', [CompletionResultType]::ParameterName, 'AWS region of the X-Ray service')
            [CompletionResult]::new('-b', '-b', [CompletionResultType]::ParameterName, 'UDP address for segments [default: 127.0.0.1:2000]')
            [CompletionResult]::new('--bind', '--bind', [CompletionResultType]::ParameterName, 'UDP address for segments [default: 127.0.0.1:2000]')
            [CompletionResult]::new('-t', '-t', [CompletionResultType]::ParameterName, 'TCP address for sampling calls [default: 127.0.0.1:2000]')
            [CompletionResult]::new('--bind-tcp', '--bind-tcp', [CompletionResultType]::ParameterName, 'TCP address for sampling calls [default: 127.0.0.1:2000]')
            [CompletionResult]::new('-r', '-r', [CompletionResultType]::ParameterName, 'IAM role to assume, to send to another account')
            [CompletionResult]::new('--role-arn', '--role-arn', [CompletionResultType]::ParameterName, 'IAM role to assume, to send to another account')
            [CompletionResult]::new('-c', '-c', [CompletionResultType]::ParameterName, 'Configuration file [default: /etc/amazon/xray/cfg.yaml, then ./cfg.yaml]')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Configuration file [default: /etc/amazon/xray/cfg.yaml, then ./cfg.yaml]')
            [CompletionResult]::new('-f', '-f', [CompletionResultType]::ParameterName, 'Log to this file and not to stdout')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Log to this file and not to stdout')
            [CompletionResult]::new('-l', '-l', [CompletionResultType]::ParameterName, 'What to log, most first: dev, debug, info, warn, error [default: prod, which is info]')
            [CompletionResult]::new('--log-level', '--log-level', [CompletionResultType]::ParameterName, 'What to log, most first: dev, debug, info, warn, error [default: prod, which is info]')
            [CompletionResult]::new('-p', '-p', [CompletionResultType]::ParameterName, 'HTTP proxy on the way to AWS')
            [CompletionResult]::new('--proxy-address', '--proxy-address', [CompletionResultType]::ParameterName, 'HTTP proxy on the way to AWS')
            [CompletionResult]::new('--log-format', '--log-format', [CompletionResultType]::ParameterName, 'text (the lines of the official daemon) or json [default: text]')
            [CompletionResult]::new('--spool-dir', '--spool-dir', [CompletionResultType]::ParameterName, 'Keep segments in this directory when memory is full [default: drop the oldest]')
            [CompletionResult]::new('--spool-size', '--spool-size', [CompletionResultType]::ParameterName, 'Most that the spool may take up, at least 16 [default: 1024]')
            [CompletionResult]::new('--connect-timeout', '--connect-timeout', [CompletionResultType]::ParameterName, 'Time to connect to the service, such as 500ms, 3s [default: 3s]')
            [CompletionResult]::new('--call-timeout', '--call-timeout', [CompletionResultType]::ParameterName, 'Time for one call to the service, from credentials to its answer [default: 15s]')
            [CompletionResult]::new('--shutdown-timeout', '--shutdown-timeout', [CompletionResultType]::ParameterName, 'Time to send what waits when told to stop, such as 500ms, 8s, 1m30s [default: 8s]')
            [CompletionResult]::new('--no-tcp', '--no-tcp', [CompletionResultType]::ParameterName, 'Open no TCP port: no sampling, no health, no metrics')
            [CompletionResult]::new('--proxy-allow', '--proxy-allow', [CompletionResultType]::ParameterName, 'Forward POST requests to this path of the X-Ray API too, signed; may be repeated')
            [CompletionResult]::new('--allow-host', '--allow-host', [CompletionResultType]::ParameterName, 'Let the TCP port be called by this host name, by all below .NAME; may be repeated')
            [CompletionResult]::new('--no-telemetry', '--no-telemetry', [CompletionResultType]::ParameterName, 'Send X-Ray no counts about the daemon itself')
            [CompletionResult]::new('--otlp-listen', '--otlp-listen', [CompletionResultType]::ParameterName, 'Take OTLP here too, over HTTP and gRPC, such as 127.0.0.1:4318; may be repeated')
            [CompletionResult]::new('--otlp-allow-origin', '--otlp-allow-origin', [CompletionResultType]::ParameterName, 'Let web pages of this origin send OTLP (https://app.example.com); may be repeated')
            [CompletionResult]::new('--otlp-endpoint', '--otlp-endpoint', [CompletionResultType]::ParameterName, 'Send OTLP there, over HTTP: the base to which v1/traces and so on are appended')
            [CompletionResult]::new('--segments-to', '--segments-to', [CompletionResultType]::ParameterName, 'Where segments go: xray, otlp [default: both with an OTLP endpoint, else xray]')
            [CompletionResult]::new('--spans-to', '--spans-to', [CompletionResultType]::ParameterName, 'Where spans go: xray, otlp [default: otlp with an OTLP endpoint, else xray]')
            [CompletionResult]::new('--print-config', '--print-config', [CompletionResultType]::ParameterName, 'Print each setting with the place it comes from, and end')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Print the version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print the version')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print this text')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print this text')
            [CompletionResult]::new('healthcheck', 'healthcheck', [CompletionResultType]::ParameterValue, 'Asks the daemon on this machine whether it runs. Prints one line; exits 0 if it does, else 1.')
            [CompletionResult]::new('doctor', 'doctor', [CompletionResultType]::ParameterValue, 'Says why there are no traces: looks at settings, ports, the daemon that runs, credentials and the way to X-Ray. A line for each check, within ten seconds; changes nothing. Exits 0 if nothing failed, 1 if something did.')
            [CompletionResult]::new('dev', 'dev', [CompletionResultType]::ParameterValue, 'X-Ray on this machine: it receives segments as the daemon does, answers the X-Ray API and has a page to look at traces. Nothing is sent to AWS.')
            [CompletionResult]::new('send', 'send', [CompletionResultType]::ParameterValue, 'Send one segment to a daemon over UDP, as an SDK does: a sample, or the document in FILE (- for stdin).')
            [CompletionResult]::new('traces', 'traces', [CompletionResultType]::ParameterValue, 'Lists the traces of a running xray dev, a line each, the latest last. FILTER is a filter expression, or words that a trace mentions in URL, name, service, annotations or exceptions. Exits 0 when there was one, 1 when there was none, 2 when the command line or the filter is wrong, 3 when no xray dev answers.')
            [CompletionResult]::new('trace', 'trace', [CompletionResultType]::ParameterValue, 'Shows one trace of a running xray dev as a tree, with hints about what went wrong in who sent it. ID is a trace id as X-Ray, OpenTelemetry (32 hex digits), a tracing header or the page''s address has it. Exits 0 when it is there, 1 when it is not, 2 when the command line is wrong, 3 when no xray dev answers.')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'xray;healthcheck' {
            [CompletionResult]::new('-a', '-a', [CompletionResultType]::ParameterName, 'ARN of the AWS resource that the daemon runs on, for telemetry')
            [CompletionResult]::new('--resource-arn', '--resource-arn', [CompletionResultType]::ParameterName, 'ARN of the AWS resource that the daemon runs on, for telemetry')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'Ask no EC2 or ECS metadata for the region')
            [CompletionResult]::new('--local-mode', '--local-mode', [CompletionResultType]::ParameterName, 'Ask no EC2 or ECS metadata for the region')
            [CompletionResult]::new('-m', '-m', [CompletionResultType]::ParameterName, 'Memory that segments may wait in, at least 3 [default: 1 % of the memory there is]')
            [CompletionResult]::new('--buffer-memory', '--buffer-memory', [CompletionResultType]::ParameterName, 'Memory that segments may wait in, at least 3 [default: 1 % of the memory there is]')
            [CompletionResult]::new('-n', '-n', [CompletionResultType]::ParameterName, 'AWS region of the X-Ray service')
            [CompletionResult]::new('--region', '--region', [CompletionResultType]::ParameterName, 'AWS region of the X-Ray service')
            [CompletionResult]::new('-b', '-b', [CompletionResultType]::ParameterName, 'UDP address for segments [default: 127.0.0.1:2000]')
            [CompletionResult]::new('--bind', '--bind', [CompletionResultType]::ParameterName, 'UDP address for segments [default: 127.0.0.1:2000]')
            [CompletionResult]::new('-t', '-t', [CompletionResultType]::ParameterName, 'TCP address for sampling calls [default: 127.0.0.1:2000]')
            [CompletionResult]::new('--bind-tcp', '--bind-tcp', [CompletionResultType]::ParameterName, 'TCP address for sampling calls [default: 127.0.0.1:2000]')
            [CompletionResult]::new('-r', '-r', [CompletionResultType]::ParameterName, 'IAM role to assume, to send to another account')
            [CompletionResult]::new('--role-arn', '--role-arn', [CompletionResultType]::ParameterName, 'IAM role to assume, to send to another account')
            [CompletionResult]::new('-c', '-c', [CompletionResultType]::ParameterName, 'Configuration file [default: /etc/amazon/xray/cfg.yaml, then ./cfg.yaml]')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Configuration file [default: /etc/amazon/xray/cfg.yaml, then ./cfg.yaml]')
            [CompletionResult]::new('-f', '-f', [CompletionResultType]::ParameterName, 'Log to this file and not to stdout')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Log to this file and not to stdout')
            [CompletionResult]::new('-l', '-l', [CompletionResultType]::ParameterName, 'What to log, most first: dev, debug, info, warn, error [default: prod, which is info]')
            [CompletionResult]::new('--log-level', '--log-level', [CompletionResultType]::ParameterName, 'What to log, most first: dev, debug, info, warn, error [default: prod, which is info]')
            [CompletionResult]::new('-p', '-p', [CompletionResultType]::ParameterName, 'HTTP proxy on the way to AWS')
            [CompletionResult]::new('--proxy-address', '--proxy-address', [CompletionResultType]::ParameterName, 'HTTP proxy on the way to AWS')
            [CompletionResult]::new('--log-format', '--log-format', [CompletionResultType]::ParameterName, 'text (the lines of the official daemon) or json [default: text]')
            [CompletionResult]::new('--spool-dir', '--spool-dir', [CompletionResultType]::ParameterName, 'Keep segments in this directory when memory is full [default: drop the oldest]')
            [CompletionResult]::new('--spool-size', '--spool-size', [CompletionResultType]::ParameterName, 'Most that the spool may take up, at least 16 [default: 1024]')
            [CompletionResult]::new('--connect-timeout', '--connect-timeout', [CompletionResultType]::ParameterName, 'Time to connect to the service, such as 500ms, 3s [default: 3s]')
            [CompletionResult]::new('--call-timeout', '--call-timeout', [CompletionResultType]::ParameterName, 'Time for one call to the service, from credentials to its answer [default: 15s]')
            [CompletionResult]::new('--shutdown-timeout', '--shutdown-timeout', [CompletionResultType]::ParameterName, 'Time to send what waits when told to stop, such as 500ms, 8s, 1m30s [default: 8s]')
            [CompletionResult]::new('--no-tcp', '--no-tcp', [CompletionResultType]::ParameterName, 'Open no TCP port: no sampling, no health, no metrics')
            [CompletionResult]::new('--proxy-allow', '--proxy-allow', [CompletionResultType]::ParameterName, 'Forward POST requests to this path of the X-Ray API too, signed; may be repeated')
            [CompletionResult]::new('--allow-host', '--allow-host', [CompletionResultType]::ParameterName, 'Let the TCP port be called by this host name, by all below .NAME; may be repeated')
            [CompletionResult]::new('--no-telemetry', '--no-telemetry', [CompletionResultType]::ParameterName, 'Send X-Ray no counts about the daemon itself')
            [CompletionResult]::new('--otlp-listen', '--otlp-listen', [CompletionResultType]::ParameterName, 'Take OTLP here too, over HTTP and gRPC, such as 127.0.0.1:4318; may be repeated')
            [CompletionResult]::new('--otlp-allow-origin', '--otlp-allow-origin', [CompletionResultType]::ParameterName, 'Let web pages of this origin send OTLP (https://app.example.com); may be repeated')
            [CompletionResult]::new('--otlp-endpoint', '--otlp-endpoint', [CompletionResultType]::ParameterName, 'Send OTLP there, over HTTP: the base to which v1/traces and so on are appended')
            [CompletionResult]::new('--segments-to', '--segments-to', [CompletionResultType]::ParameterName, 'Where segments go: xray, otlp [default: both with an OTLP endpoint, else xray]')
            [CompletionResult]::new('--spans-to', '--spans-to', [CompletionResultType]::ParameterName, 'Where spans go: xray, otlp [default: otlp with an OTLP endpoint, else xray]')
            [CompletionResult]::new('--print-config', '--print-config', [CompletionResultType]::ParameterName, 'Print each setting with the place it comes from, and end')
            [CompletionResult]::new('--ready', '--ready', [CompletionResultType]::ParameterName, 'Ask whether the daemon can do its work: region, credentials, calls')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Print the version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print the version')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print this text')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print this text')
            break
        }
        'xray;doctor' {
            [CompletionResult]::new('-a', '-a', [CompletionResultType]::ParameterName, 'ARN of the AWS resource that the daemon runs on, for telemetry')
            [CompletionResult]::new('--resource-arn', '--resource-arn', [CompletionResultType]::ParameterName, 'ARN of the AWS resource that the daemon runs on, for telemetry')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'Ask no EC2 or ECS metadata for the region')
            [CompletionResult]::new('--local-mode', '--local-mode', [CompletionResultType]::ParameterName, 'Ask no EC2 or ECS metadata for the region')
            [CompletionResult]::new('-m', '-m', [CompletionResultType]::ParameterName, 'Memory that segments may wait in, at least 3 [default: 1 % of the memory there is]')
            [CompletionResult]::new('--buffer-memory', '--buffer-memory', [CompletionResultType]::ParameterName, 'Memory that segments may wait in, at least 3 [default: 1 % of the memory there is]')
            [CompletionResult]::new('-n', '-n', [CompletionResultType]::ParameterName, 'AWS region of the X-Ray service')
            [CompletionResult]::new('--region', '--region', [CompletionResultType]::ParameterName, 'AWS region of the X-Ray service')
            [CompletionResult]::new('-b', '-b', [CompletionResultType]::ParameterName, 'UDP address for segments [default: 127.0.0.1:2000]')
            [CompletionResult]::new('--bind', '--bind', [CompletionResultType]::ParameterName, 'UDP address for segments [default: 127.0.0.1:2000]')
            [CompletionResult]::new('-t', '-t', [CompletionResultType]::ParameterName, 'TCP address for sampling calls [default: 127.0.0.1:2000]')
            [CompletionResult]::new('--bind-tcp', '--bind-tcp', [CompletionResultType]::ParameterName, 'TCP address for sampling calls [default: 127.0.0.1:2000]')
            [CompletionResult]::new('-r', '-r', [CompletionResultType]::ParameterName, 'IAM role to assume, to send to another account')
            [CompletionResult]::new('--role-arn', '--role-arn', [CompletionResultType]::ParameterName, 'IAM role to assume, to send to another account')
            [CompletionResult]::new('-c', '-c', [CompletionResultType]::ParameterName, 'Configuration file [default: /etc/amazon/xray/cfg.yaml, then ./cfg.yaml]')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Configuration file [default: /etc/amazon/xray/cfg.yaml, then ./cfg.yaml]')
            [CompletionResult]::new('-f', '-f', [CompletionResultType]::ParameterName, 'Log to this file and not to stdout')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Log to this file and not to stdout')
            [CompletionResult]::new('-l', '-l', [CompletionResultType]::ParameterName, 'What to log, most first: dev, debug, info, warn, error [default: prod, which is info]')
            [CompletionResult]::new('--log-level', '--log-level', [CompletionResultType]::ParameterName, 'What to log, most first: dev, debug, info, warn, error [default: prod, which is info]')
            [CompletionResult]::new('-p', '-p', [CompletionResultType]::ParameterName, 'HTTP proxy on the way to AWS')
            [CompletionResult]::new('--proxy-address', '--proxy-address', [CompletionResultType]::ParameterName, 'HTTP proxy on the way to AWS')
            [CompletionResult]::new('--log-format', '--log-format', [CompletionResultType]::ParameterName, 'text (the lines of the official daemon) or json [default: text]')
            [CompletionResult]::new('--spool-dir', '--spool-dir', [CompletionResultType]::ParameterName, 'Keep segments in this directory when memory is full [default: drop the oldest]')
            [CompletionResult]::new('--spool-size', '--spool-size', [CompletionResultType]::ParameterName, 'Most that the spool may take up, at least 16 [default: 1024]')
            [CompletionResult]::new('--connect-timeout', '--connect-timeout', [CompletionResultType]::ParameterName, 'Time to connect to the service, such as 500ms, 3s [default: 3s]')
            [CompletionResult]::new('--call-timeout', '--call-timeout', [CompletionResultType]::ParameterName, 'Time for one call to the service, from credentials to its answer [default: 15s]')
            [CompletionResult]::new('--shutdown-timeout', '--shutdown-timeout', [CompletionResultType]::ParameterName, 'Time to send what waits when told to stop, such as 500ms, 8s, 1m30s [default: 8s]')
            [CompletionResult]::new('--no-tcp', '--no-tcp', [CompletionResultType]::ParameterName, 'Open no TCP port: no sampling, no health, no metrics')
            [CompletionResult]::new('--proxy-allow', '--proxy-allow', [CompletionResultType]::ParameterName, 'Forward POST requests to this path of the X-Ray API too, signed; may be repeated')
            [CompletionResult]::new('--allow-host', '--allow-host', [CompletionResultType]::ParameterName, 'Let the TCP port be called by this host name, by all below .NAME; may be repeated')
            [CompletionResult]::new('--no-telemetry', '--no-telemetry', [CompletionResultType]::ParameterName, 'Send X-Ray no counts about the daemon itself')
            [CompletionResult]::new('--otlp-listen', '--otlp-listen', [CompletionResultType]::ParameterName, 'Take OTLP here too, over HTTP and gRPC, such as 127.0.0.1:4318; may be repeated')
            [CompletionResult]::new('--otlp-allow-origin', '--otlp-allow-origin', [CompletionResultType]::ParameterName, 'Let web pages of this origin send OTLP (https://app.example.com); may be repeated')
            [CompletionResult]::new('--otlp-endpoint', '--otlp-endpoint', [CompletionResultType]::ParameterName, 'Send OTLP there, over HTTP: the base to which v1/traces and so on are appended')
            [CompletionResult]::new('--segments-to', '--segments-to', [CompletionResultType]::ParameterName, 'Where segments go: xray, otlp [default: both with an OTLP endpoint, else xray]')
            [CompletionResult]::new('--spans-to', '--spans-to', [CompletionResultType]::ParameterName, 'Where spans go: xray, otlp [default: otlp with an OTLP endpoint, else xray]')
            [CompletionResult]::new('--print-config', '--print-config', [CompletionResultType]::ParameterName, 'Print each setting with the place it comes from, and end')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print JSON instead of lines')
            [CompletionResult]::new('--no-calls', '--no-calls', [CompletionResultType]::ParameterName, 'Make no signed call to X-Ray')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Print the version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print the version')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print this text')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print this text')
            break
        }
        'xray;dev' {
            [CompletionResult]::new('--tree', '--tree', [CompletionResultType]::ParameterName, 'Print each finished trace as a tree')
            [CompletionResult]::new('--sampling', '--sampling', [CompletionResultType]::ParameterName, 'The default rule: all samples every request, aws one a second and 5 % [default: all]')
            [CompletionResult]::new('--sampling-rules', '--sampling-rules', [CompletionResultType]::ParameterName, 'Sampling rules in the API''s JSON, as `aws xray get-sampling-rules` prints them, or an SDK''s local rules')
            [CompletionResult]::new('--store', '--store', [CompletionResultType]::ParameterName, 'Keep traces in this file over restarts [default: in memory only]')
            [CompletionResult]::new('--open', '--open', [CompletionResultType]::ParameterName, 'Show the traces in this file: output of aws xray batch-get-traces, segment documents, OTLP JSON; may be repeated')
            [CompletionResult]::new('--tail', '--tail', [CompletionResultType]::ParameterName, 'Show the lines of this log beside the traces whose ids they have; may be repeated')
            [CompletionResult]::new('--max-traces', '--max-traces', [CompletionResultType]::ParameterName, 'The most traces to keep, oldest out first [default: 10000]')
            [CompletionResult]::new('--max-store-mb', '--max-store-mb', [CompletionResultType]::ParameterName, 'The most memory for traces, beyond what an idle process has, 32 at least [default: 256]')
            [CompletionResult]::new('-b', '-b', [CompletionResultType]::ParameterName, 'UDP address for segments [default: 127.0.0.1:2000]')
            [CompletionResult]::new('--bind', '--bind', [CompletionResultType]::ParameterName, 'UDP address for segments [default: 127.0.0.1:2000]')
            [CompletionResult]::new('-t', '-t', [CompletionResultType]::ParameterName, 'TCP address of page and API [default: 127.0.0.1:2000]')
            [CompletionResult]::new('--bind-tcp', '--bind-tcp', [CompletionResultType]::ParameterName, 'TCP address of page and API [default: 127.0.0.1:2000]')
            [CompletionResult]::new('--allow-host', '--allow-host', [CompletionResultType]::ParameterName, 'A host name with a dot under which page and API are asked; `.NAME`: all below it')
            [CompletionResult]::new('--otlp-listen', '--otlp-listen', [CompletionResultType]::ParameterName, 'Take OTLP here, over HTTP and gRPC; may be repeated; "": nowhere [default: 127.0.0.1:4317 and 127.0.0.1:4318]')
            [CompletionResult]::new('-m', '-m', [CompletionResultType]::ParameterName, 'Memory that segments may wait in on their way to the store')
            [CompletionResult]::new('--buffer-memory', '--buffer-memory', [CompletionResultType]::ParameterName, 'Memory that segments may wait in on their way to the store')
            [CompletionResult]::new('-l', '-l', [CompletionResultType]::ParameterName, 'What the daemon logs besides: dev, debug, info, warn, error [default: warn]')
            [CompletionResult]::new('--log-level', '--log-level', [CompletionResultType]::ParameterName, 'What the daemon logs besides: dev, debug, info, warn, error [default: warn]')
            [CompletionResult]::new('-f', '-f', [CompletionResultType]::ParameterName, 'Log to this file and not to stdout')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Log to this file and not to stdout')
            [CompletionResult]::new('--log-format', '--log-format', [CompletionResultType]::ParameterName, 'text, or json: traces and log as one JSON object a line [default: text]')
            [CompletionResult]::new('--shutdown-timeout', '--shutdown-timeout', [CompletionResultType]::ParameterName, 'Time to take in what waits when told to stop [default: 8s]')
            [CompletionResult]::new('--print-config', '--print-config', [CompletionResultType]::ParameterName, 'Print each setting with the place it comes from, and end')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'Without effect: no metadata is asked for anyway')
            [CompletionResult]::new('--local-mode', '--local-mode', [CompletionResultType]::ParameterName, 'Without effect: no metadata is asked for anyway')
            [CompletionResult]::new('-n', '-n', [CompletionResultType]::ParameterName, 'Without effect: nothing is sent to a region')
            [CompletionResult]::new('--region', '--region', [CompletionResultType]::ParameterName, 'Without effect: nothing is sent to a region')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print this text')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print this text')
            break
        }
        'xray;send' {
            [CompletionResult]::new('--to', '--to', [CompletionResultType]::ParameterName, 'Where [default: AWS_XRAY_DAEMON_ADDRESS, or else 127.0.0.1:2000]')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print this text')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print this text')
            break
        }
        'xray;traces' {
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print each trace as a JSON object')
            [CompletionResult]::new('--follow', '--follow', [CompletionResultType]::ParameterName, 'Go on with traces as they are finished, until told to stop')
            [CompletionResult]::new('--limit', '--limit', [CompletionResultType]::ParameterName, 'The most traces that are there already, 1000 at most [default: 20; with --follow 0]')
            [CompletionResult]::new('--from', '--from', [CompletionResultType]::ParameterName, 'The page''s address [default: XRAY_BIND_TCP, or AWS_XRAY_DAEMON_ADDRESS, or else 127.0.0.1:2000]')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print this text')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print this text')
            break
        }
        'xray;trace' {
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print a JSON object with the trace, its documents and hints')
            [CompletionResult]::new('--from', '--from', [CompletionResultType]::ParameterName, 'The page''s address [default: XRAY_BIND_TCP, or AWS_XRAY_DAEMON_ADDRESS, or else 127.0.0.1:2000]')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print this text')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print this text')
            break
        }
        'xray;help' {
            [CompletionResult]::new('healthcheck', 'healthcheck', [CompletionResultType]::ParameterValue, 'Asks the daemon on this machine whether it runs. Prints one line; exits 0 if it does, else 1.')
            [CompletionResult]::new('doctor', 'doctor', [CompletionResultType]::ParameterValue, 'Says why there are no traces: looks at settings, ports, the daemon that runs, credentials and the way to X-Ray. A line for each check, within ten seconds; changes nothing. Exits 0 if nothing failed, 1 if something did.')
            [CompletionResult]::new('dev', 'dev', [CompletionResultType]::ParameterValue, 'X-Ray on this machine: it receives segments as the daemon does, answers the X-Ray API and has a page to look at traces. Nothing is sent to AWS.')
            [CompletionResult]::new('send', 'send', [CompletionResultType]::ParameterValue, 'Send one segment to a daemon over UDP, as an SDK does: a sample, or the document in FILE (- for stdin).')
            [CompletionResult]::new('traces', 'traces', [CompletionResultType]::ParameterValue, 'Lists the traces of a running xray dev, a line each, the latest last. FILTER is a filter expression, or words that a trace mentions in URL, name, service, annotations or exceptions. Exits 0 when there was one, 1 when there was none, 2 when the command line or the filter is wrong, 3 when no xray dev answers.')
            [CompletionResult]::new('trace', 'trace', [CompletionResultType]::ParameterValue, 'Shows one trace of a running xray dev as a tree, with hints about what went wrong in who sent it. ID is a trace id as X-Ray, OpenTelemetry (32 hex digits), a tracing header or the page''s address has it. Exits 0 when it is there, 1 when it is not, 2 when the command line is wrong, 3 when no xray dev answers.')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'xray;help;healthcheck' {
            break
        }
        'xray;help;doctor' {
            break
        }
        'xray;help;dev' {
            break
        }
        'xray;help;send' {
            break
        }
        'xray;help;traces' {
            break
        }
        'xray;help;trace' {
            break
        }
        'xray;help;help' {
            break
        }
    })

    $completions.Where{ $_.CompletionText -like "$wordToComplete*" } |
        Sort-Object -Property ListItemText
}
