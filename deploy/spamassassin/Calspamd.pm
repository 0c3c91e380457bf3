# calspamd for SpamAssassin 4: asks calspamd about messages with a calendar, and merges its symbols.
#
# License: Apache-2.0 OR MIT
#
# Comes in: a message with a calendar part, however it is labelled. Goes out: calspamd's symbols with
# their scores and evidence, the calendar's text and links for SpamAssassin's own rules, and tags.
# Not an error: no calspamd. The message is scanned as without it, CALSPAMD_FAIL says so.
#
# Documentation is at the end: perldoc Calspamd.pm

# SpamAssassin loads it by its path.
package Mail::SpamAssassin::Plugin::Calspamd; ## no critic (RequireFilenameMatchesPackage)

use strict;
use warnings;
use re 'taint';

use HTTP::Tiny   ();
use JSON::PP     ();
use Scalar::Util qw(looks_like_number);
use Time::HiRes  qw(time);

use Mail::SpamAssassin::Plugin  ();
use Mail::SpamAssassin::Conf    ();
use Mail::SpamAssassin::Logger  qw(dbg info);
use Mail::SpamAssassin::Timeout ();

our @ISA     = qw(Mail::SpamAssassin::Plugin);
our $VERSION = '1.0';

# Under this one the rest is counted: symbols that the configuration does not name.
use constant OTHER => 'CALSPAMD_OTHER';
use constant FAIL  => 'CALSPAMD_FAIL';

# An answer has a few hundred KiB at the very most.
use constant MAX_ANSWER => 4 * 1024 * 1024;

# How far into a part the start of a calendar is looked for.
use constant HEAD => 1024;

# So many time-outs in a row are the service's, even if it says that it is well.
use constant MAX_TIMEOUTS => 3;
use constant PING_SECONDS => 0.5;

use constant MAX_SYMBOLS    => 300;
use constant MAX_SIGNATURES => 10;
use constant MAX_EVIDENCE   => 120;
use constant MAX_URI        => 8192;

# A hit with the score 0 is none for SpamAssassin, and rules built on it would not see it.
use constant LEAST_SCORE => 0.001;

my $CALENDAR_TYPE = qr{
    ^(?: text/(?:calendar|x-vcalendar|ics)
       | application/(?:ics|calendar|calendar\+json|calendar\+xml|jscalendar\+json) )$
}xi;
my $CALENDAR_NAME  = qr{[.](?:ics|ical|icalendar|ifb|vcs)\s*$}i;
my $CALENDAR_START = qr{begin:vcalendar|^\s*\[\s*"vcalendar"}i;

# An offer to share a calendar (MS-OXSHARE) needs no calendar part.
my @SHARING_HEADERS = qw(
    X-Sharing-Config-Url X-Sharing-Browse-Url X-Sharing-Remote-Path X-Sharing-Local-Path
);

my @SPF_RESULTS = qw(pass fail softfail neutral temperror permerror none);
my %DKIM_RESULT = (fail => 'fail', temperror => 'temperror', none => 'none', invalid => 'permerror');

# What a value in Authentication-Results may consist of without being quoted.
my $TOKEN = qr{^[A-Za-z0-9._+=/-]{1,255}$};

sub new {
    my ($class, $main) = @_;
    my $self = $class->SUPER::new($main);
    bless $self, ref $class || $class;
    $self->{left_alone_until} = 0;
    $self->{timeouts} = 0;
    $self->{lent} = [];
    $self->register_eval_rule('check_calspamd', $Mail::SpamAssassin::Conf::TYPE_HEAD_EVALS);
    # Before others look at text and links.
    $self->register_method_priority($_, -20) for qw(extract_metadata parsed_metadata);
    _register_settings($main->{conf});
    return $self;
}

sub _register_settings {
    my ($conf) = @_;
    my $setting = sub {
        my ($name, $default, $type) = @_;
        return { setting => $name, default => $default, type => $type, is_admin => 1 };
    };
    my ($string, $number, $bool, $duration) = (
        $Mail::SpamAssassin::Conf::CONF_TYPE_STRING, $Mail::SpamAssassin::Conf::CONF_TYPE_NUMERIC,
        $Mail::SpamAssassin::Conf::CONF_TYPE_BOOL,   $Mail::SpamAssassin::Conf::CONF_TYPE_DURATION,
    );
    $conf->{calspamd_symbols} = {};
    $conf->{parser}->register_commands([
        $setting->('calspamd_url',      'http://127.0.0.1:11380', $string),
        $setting->('calspamd_timeout',  3,                        $duration),
        $setting->('calspamd_retry',    30,                       $duration),
        $setting->('calspamd_max_size', 50 * 1024 * 1024,         $number),
        $setting->('calspamd_scale',    5 / 6,                    $number),
        $setting->('calspamd_text',     1,                        $bool),
        $setting->('calspamd_uris',     1,                        $bool),
        $setting->('calspamd_max_uris', 100,                      $number),
        $setting->('calspamd_evidence', 3,                        $number),
        {
            setting  => 'calspamd_symbol',
            is_admin => 1,
            code     => sub {
                my ($settings, undef, $value) = @_;
                my @names = split ' ', $value // '';
                return $Mail::SpamAssassin::Conf::MISSING_REQUIRED_VALUE if !@names;
                return $Mail::SpamAssassin::Conf::INVALID_VALUE if grep { !/^[A-Za-z_]\w{0,99}$/ } @names;
                $settings->{calspamd_symbols}->{$_} = 1 for @names;
                return;
            },
        },
    ]);
    return;
}

# ---- callbacks of SpamAssassin, in the order of a scan ----

sub check_start {
    my ($self, $options) = @_;
    my $pms = $options->{permsgstatus};
    # Whoever never finished the last message must not leave its scores to this one.
    $self->_take_back();
    $pms->{calspamd_scan} = 1;
    $pms->set_tag($_, '') for qw(CALSPAMD CALSPAMDSCORE CALSPAMDSYMBOLS CALSPAMDDECISION);
    return;
}

# The relays are known, nothing is rendered yet: the last moment for the calendar's text. Comes for
# messages that are learned too, so that Bayes learns what it will see.
sub extract_metadata {
    my ($self, $options) = @_;
    my ($msg, $pms) = @{$options}{qw(msg permsgstatus)};
    my $conf = $pms->{conf};
    return if !$conf->{calspamd_text} && !$conf->{calspamd_uris};
    my ($is_calendar, $part) = _find_calendar($msg);
    $msg->{calspamd} = { calendar => $is_calendar };
    return if !$is_calendar;

    # SpamAssassin copies these right after this callback; the envelope's sender depends on them.
    $pms->{$_} = $msg->{metadata}->{$_} || []
        for qw(relays_trusted relays_untrusted relays_internal relays_external);
    my $is_last = $pms->{calspamd_scan} && !$self->_results_expected($pms);
    my $answer = $self->_ask($pms, $is_last) or return;
    $msg->{calspamd}->{answer} = $answer if $is_last;
    my $extracted = _hash(_hash($answer->{calendar})->{extracted});
    _show_text($part, $extracted->{text}) if $conf->{calspamd_text};
    $msg->{calspamd}->{uris} = $extracted->{urls} if $conf->{calspamd_uris};
    _add_uris($pms);
    return;
}

# A message may be checked more than once, for several recipients: its metadata is extracted once only.
sub parsed_metadata {
    my ($self, $options) = @_;
    _add_uris($options->{permsgstatus});
    return;
}

# header __CALSPAMD eval:check_calspamd(): true for a message with a calendar. Runs when the
# results of SPF, DKIM and DMARC are there.
sub check_calspamd {
    my ($self, $pms) = @_;
    my $msg = $pms->{msg};
    my $seen = $msg->{calspamd} ||= { calendar => scalar _find_calendar($msg) };
    if ($seen->{calendar}) {
        # After a failure not asked once more: a message costs the time-out once.
        my $answer = $seen->{answer} || (defined $seen->{failed} ? undef : $self->_ask($pms, 1));
        if ($answer) { $self->_merge($pms, $answer) }
        else         { _report_failure($pms, $seen->{failed}) }
    }
    # Rules built on symbols that have not hit need not wait until the end.
    my $waited_for = $pms->{conf}->{meta_deprules} || {};
    for my $name (OTHER, FAIL, keys %{ $pms->{conf}->{calspamd_symbols} }) {
        $pms->rule_ready($name, 1) if $waited_for->{$name};
    }
    return $seen->{calendar} ? 1 : 0;
}

sub per_msg_finish {
    my ($self) = @_;
    $self->_take_back();
    return;
}

# ---- which messages ----

# Whether there is a calendar; in a list also the part whose text it is to be.
sub _find_calendar {
    my ($msg) = @_;
    my @parts = $msg->find_parts(qr/./, 1);
    my ($found, $readable);
    for my $part (@parts) {
        next if !_is_calendar($part);
        # Rather into a part that SpamAssassin does not read by itself.
        my ($type) = $part->rendered();
        if (!defined $type) { $found = $part; last }
        $readable ||= $part;
    }
    $found ||= $readable;
    # A calendar without a mail around it looks like headers without a body. What comes after too many
    # parts SpamAssassin does not take apart; calspamd may.
    my $is_calendar = $found || _shares_calendar($msg) || $msg->{mimepart_limit_exceeded}
        || substr($msg->get_pristine_header() // '', 0, HEAD) =~ /^\s*begin:\s*vcalendar/i;
    return wantarray ? ($is_calendar ? 1 : 0, $found || $parts[0] || $msg) : $is_calendar ? 1 : 0;
}

sub _is_calendar {
    my ($part) = @_;
    my $type = $part->{type} || '';
    return 1 if $type =~ $CALENDAR_TYPE;
    return 1 if ($part->{name} || '') =~ $CALENDAR_NAME;
    return 0 if $type =~ m{^(?:multipart|image|audio|video)/}i;
    my $head = $part->decode(HEAD);
    return 0 if !defined $head;
    # UTF-16 is every other octet of it.
    $head =~ tr/\x00//d;
    return $head =~ $CALENDAR_START ? 1 : 0;
}

sub _shares_calendar {
    my ($msg) = @_;
    return 1 if lc($msg->get_header('Content-Class') // '') =~ /^\s*sharing\s*$/;
    return scalar grep { defined $msg->get_header($_) } @SHARING_HEADERS;
}

# ---- text and links for the other rules ----

# What a part shows is added to and never replaced: a calendar in front would hide the rest.
sub _show_text {
    my ($part, $text) = @_;
    return if !defined $text || ref $text || $text !~ /\S/;
    $text =~ tr/\x00//d;
    # Text of characters would change how other parts of octets are read; ASCII need not.
    utf8::downgrade($text, 1) if $text !~ /[^\x00-\x7f]/;
    my ($type, $rendered) = $part->rendered();
    if (defined $rendered) {
        $part->{$_} = ($part->{$_} // '') . "\n\n$text" for qw(rendered visible_rendered);
    }
    else {
        $part->set_rendered($text);
    }
    return;
}

sub _add_uris {
    my ($pms) = @_;
    my $uris = _hash($pms->{msg}->{calspamd})->{uris};
    return if ref $uris ne 'ARRAY' || $pms->{calspamd_uris_added}++;
    my $left = $pms->{conf}->{calspamd_max_uris};
    for my $uri (@{$uris}) {
        next if !defined $uri || ref $uri || length $uri > MAX_URI || $uri !~ /^[a-z][a-z0-9+.-]*:/i;
        last if $left-- <= 0;
        my $octets = $uri;
        utf8::encode($octets) if utf8::is_utf8($octets);
        $pms->add_uri_detail_list($octets, { parsed => 1, calendar => 1 }, 'calendar', 0);
    }
    return;
}

# ---- asking ----

# Whether something will be known later that calspamd should hear of.
sub _results_expected {
    my ($self, $pms) = @_;
    my $known = $pms->{conf}->{eval_plugins} || {};
    return 1 if $known->{check_authres_result} && defined $pms->get('Authentication-Results', undef);
    return 0 if $self->{main}->{local_tests_only} || !$pms->is_dns_available();
    return 1 if $known->{check_for_spf_pass} && @{ $pms->{relays_external} };
    return 1 if _hash($pms->{msg}->{suppl_attrib})->{dkim_signatures};
    return $known->{check_dkim_signed} && defined $pms->get('DKIM-Signature', undef) ? 1 : 0;
}

# The answer, or nothing and the reason in {calspamd}{failed} of the message. What is not the last
# question about a message is not remembered by calspamd.
sub _ask {
    my ($self, $pms, $is_last) = @_;
    my ($msg, $conf) = @{$pms}{qw(msg conf)};
    my $seen = $msg->{calspamd};
    my $now = time;
    if ($now < $self->{left_alone_until}) {
        $seen->{failed} = 'left alone after a failure';
        dbg('calspamd: %s', $seen->{failed});
        return;
    }
    my $message = $msg->get_pristine();
    if (length $message > $conf->{calspamd_max_size}) {
        $seen->{failed} = 'the message is too large';
        info('calspamd: not asked: %s', $seen->{failed});
        return;
    }
    # Both questions together may take this long.
    my $left = $conf->{calspamd_timeout} - ($seen->{spent} || 0);
    my ($answer, $failure, $is_down) = $left > 0
        ? _post($conf->{calspamd_url}, $message, $self->_headers($pms, $is_last), $left, $pms->{master_deadline})
        : (undef, 'timeout', 0);
    $seen->{spent} += time - $now;
    if ($answer) {
        $self->{timeouts} = 0;
        return $answer;
    }
    $seen->{failed} = $failure;
    # One message that takes long must not keep calspamd away from the next ones.
    $self->{timeouts} = $failure eq 'timeout' ? $self->{timeouts} + 1 : 0;
    $is_down = $self->{timeouts} >= MAX_TIMEOUTS || !_is_alive($conf->{calspamd_url}, $pms->{master_deadline})
        if $self->{timeouts};
    $self->{left_alone_until} = time + $conf->{calspamd_retry} if $is_down;
    info('calspamd: not asked: %s%s', $failure,
        $is_down ? ", next try in $conf->{calspamd_retry} s" : '');
    return;
}

# The answer; or nothing, the reason, and whether it will be the same for the next message.
sub _post {
    my ($url, $message, $headers, $seconds, $deadline) = @_;
    my $answer;
    my $reply = _within($seconds, $deadline, sub {
        my $got = _http($seconds)->post(_at($url, 'checkv2'), { content => $message, headers => $headers });
        $answer = JSON::PP->new->utf8->max_depth(32)->decode($got->{content}) if $got->{status} == 200;
        return $got;
    });
    return (undef, 'timeout', 1) if !defined $reply;
    return (undef, 'no answer of calspamd', 1) if !$reply;
    my $status = $reply->{status};
    if ($status == 599) {
        my $reason = _one_line($reply->{content}, 200);
        return (undef, 'timeout', 1) if $reason =~ /timed? ?out/i;
        return (undef, $reason, $reason !~ /exceeds the maximum/);
    }
    # 4xx is about this message, not about the server.
    return (undef, "HTTP status $status", $status >= 500) if $status != 200;
    return (undef, 'no answer of calspamd', 1)
        if ref $answer ne 'HASH' || ref $answer->{symbols} ne 'HASH';
    return (undef, 'the scan failed', 0) if $answer->{is_skipped};
    return ($answer);
}

sub _is_alive {
    my ($url, $deadline) = @_;
    my $reply = _within(PING_SECONDS, $deadline, sub { return _http(PING_SECONDS)->get(_at($url, 'ping')) });
    return $reply && $reply->{status} == 200;
}

# What the code returns, which is a reply of HTTP::Tiny; false if it has failed, nothing defined if
# that takes too long. HTTP::Tiny's time-out is for each read alone, so a slow enough answer would
# never end.
sub _within {
    my ($seconds, $deadline, $code) = @_;
    my $reply = 0;
    my $timer = Mail::SpamAssassin::Timeout->new({ secs => $seconds, deadline => $deadline });
    my $error = $timer->run_and_catch(sub {
        my $got = $code->();
        # It catches the alarms of SpamAssassin too.
        die $got->{content} if $got->{status} == 599 && $got->{content} =~ /__alarm__ignore__/;
        $reply = $got;
    });
    return if $timer->timed_out();
    # Somebody else's alarm.
    die "$error\n" if defined $error && $error =~ /__alarm__ignore__/;
    return $reply;
}

sub _at {
    my ($url, $path) = @_;
    $url =~ s{/+$}{};
    return "$url/$path";
}

sub _http {
    my ($seconds) = @_;
    return HTTP::Tiny->new(
        agent      => 'calspamd-spamassassin/' . $VERSION,
        timeout    => $seconds,
        max_size   => MAX_ANSWER,
        keep_alive => 0,
        # Neither somebody else's proxy nor a redirection is where mail goes.
        proxy        => undef,
        http_proxy   => undef,
        https_proxy  => undef,
        max_redirect => 0,
    );
}

# What is known of the message's way here, in the headers of calspamd's protocol.
sub _headers {
    my ($self, $pms, $is_last) = @_;
    my $supplied = _hash($pms->{msg}->{suppl_attrib});
    my %headers = ('Content-Type' => 'message/rfc822', Scope => 'calendar');
    my $set = sub {
        my ($name, $value) = @_;
        $headers{$name} = _one_line($value, 2000) if defined $value && $value ne '';
        return;
    };
    # SpamAssassin asks the lists about the links itself; without its network tests nobody does.
    my @flags = ('no_events');
    push @flags, 'no_dns' if $pms->{conf}->{calspamd_uris} || $self->{main}->{local_tests_only};
    push @flags, 'no_stat', 'no_log' if !$is_last;
    $set->(Flags => join ',', @flags);

    my $sender = $supplied->{return_path} // $pms->get('EnvelopeFrom', undef);
    if (defined $sender) {
        $sender =~ s/^\s*<?|>?\s*$//g;
        $headers{From} = '<' . _one_line($sender, 500) . '>';
    }
    if (ref $supplied->{recipients} eq 'ARRAY') {
        my @recipients = map { /<.*>/s ? $_ : "<$_>" } grep { defined } @{ $supplied->{recipients} };
        $#recipients = 99 if @recipients > 100;
        $headers{Rcpt} = join ', ', map { _one_line($_, 500) } @recipients if @recipients;
    }
    # Whose mail it is, in a spamd with a user for each.
    my $mailbox = $self->{main}->{username} // '';
    $set->('Deliver-To' => $mailbox) if $mailbox =~ /\@/;

    my ($external, $internal) = ($pms->{relays_external} || [], $pms->{relays_internal} || []);
    my $client = $external->[0] || $internal->[-1];
    if ($client) {
        $set->(IP => $client->{ip});
        $set->(Helo => $client->{helo});
        $set->(Hostname => $client->{rdns});
    }
    # Somebody of the house has logged in to send this.
    $set->(User => $sender)
        if $supplied->{originating} || (!@{$external} && $client && $client->{auth});
    my $newest = ($pms->{relays_trusted} || [])->[0] || ($pms->{relays_untrusted} || [])->[0];
    $set->('Queue-Id' => $newest->{id}) if $newest;
    $set->('Authentication-Results' => _authentication_results($pms)) if $is_last;
    return \%headers;
}

# What SpamAssassin has found about the sender, as RFC 8601 writes it.
sub _authentication_results {
    my ($pms) = @_;
    my %results;
    for my $identity ([ 'spf', 'smtp.mailfrom', $pms->{spf_sender} // $pms->get('EnvelopeFrom', undef) ],
        [ 'spf_helo', 'smtp.helo', ($pms->{relays_external} || [])->[0] && $pms->{relays_external}->[0]->{helo} ])
    {
        my ($prefix, $property, $value) = @{$identity};
        next if !$pms->{"${prefix}_checked"};
        my ($result) = grep { $pms->{"${prefix}_$_"} } @SPF_RESULTS;
        push @{ $results{spf} }, "spf=$result" . _property($property, $value) if $result;
    }
    my %is_valid = map { $_ => 1 } @{ $pms->{dkim_valid_signatures} || [] };
    for my $signature (@{ $pms->{dkim_signatures} || [] }) {
        last if @{ $results{dkim} || [] } >= MAX_SIGNATURES;
        next if !ref $signature;
        # Valid by its own account only: it has expired.
        my $result = $is_valid{$signature} ? 'pass' : $DKIM_RESULT{ $signature->result // '' } || 'policy';
        push @{ $results{dkim} }, "dkim=$result"
            . _property('header.d', scalar $signature->domain)
            . _property('header.s', scalar $signature->selector);
    }
    push @{ $results{dkim} }, 'dkim=none' if $pms->{dkim_signatures_ready} && !$results{dkim};
    my $arc = ref $pms->{arc_verifier} && eval { $pms->{arc_verifier}->result };
    push @{ $results{arc} }, "arc=$arc" if $arc && $arc =~ /^(?:pass|fail|none)$/;
    if (defined $pms->{dmarc_result} && $pms->{dmarc_result} =~ /^(?:pass|fail|none)$/) {
        my ($policy) = ($pms->{dmarc_policy} // '') =~ /^(none|quarantine|reject)$/;
        my $result = $policy ? "$pms->{dmarc_result} (p=$policy)" : 'none';
        push @{ $results{dmarc} }, "dmarc=$result"
            . _property('header.from', ($pms->get('From:first:addr:host'))[0]);
    }
    _add_stated(\%results, $pms->{authres_parsed});
    my @all = map { @{ $results{$_} || [] } } qw(spf dkim arc dmarc);
    return @all ? join '; ', $pms->get_tag('HOSTNAME') || 'localhost', @all : undef;
}

# What SpamAssassin's plug-in AuthRes has read in headers of trusted servers, where SpamAssassin has
# found nothing itself.
sub _add_stated {
    my ($results, $stated) = @_;
    for my $method (qw(spf dkim arc dmarc)) {
        next if $results->{$method} || ref _hash($stated)->{$method} ne 'ARRAY';
        for my $one (@{ $stated->{$method} }) {
            last if @{ $results->{$method} || [] } >= MAX_SIGNATURES;
            next if ($one->{result} // '') !~ /^[a-z]{1,20}$/;
            my $text = "$method=$one->{result}";
            for my $type (qw(smtp header policy)) {
                my $properties = _hash(_hash($one->{properties})->{$type});
                $text .= _property("$type.$_", $properties->{$_}) for sort keys %{$properties};
            }
            push @{ $results->{$method} }, $text;
        }
    }
    return;
}

# ` name=value`; of an address that would need quotes the domain alone, and nothing of anything else.
sub _property {
    my ($name, $value) = @_;
    return '' if !defined $value || $name !~ $TOKEN;
    my ($local, $domain) = $value =~ /^(?:(.*)\@)?([^\@]*)$/s or return '';
    return '' if $domain !~ $TOKEN;
    return " $name=" . (defined $local && $local =~ $TOKEN ? "$local\@$domain" : $domain);
}

# ---- merging ----

sub _merge {
    my ($self, $pms, $answer) = @_;
    my $conf = $pms->{conf};
    my ($other, @unknown, @merged) = (0);
    my $before = $pms->{score};
    for my $name (sort keys %{ $answer->{symbols} }) {
        last if @merged + @unknown >= MAX_SYMBOLS;
        my $symbol = _hash($answer->{symbols}->{$name});
        my $score = $symbol->{score};
        next if !looks_like_number($score) || !(abs $score < 10_000);
        # A rule of SpamAssassin's is never hit by somebody else's word.
        if ($conf->{calspamd_symbols}->{$name} && !exists $conf->{tests}->{$name}) {
            my $options = ref $symbol->{options} eq 'ARRAY' ? $symbol->{options} : [];
            push @merged, $name
                if $self->_hit($pms, $name, $score, $symbol->{description}, @{$options});
        }
        else {
            $other += $score;
            push @unknown, sprintf '%s(%.2f)', _one_line($name, 100), $score;
        }
    }
    push @merged, OTHER if @unknown && $self->_hit($pms, OTHER, $other, undef, @unknown);
    _set_tags($pms, $answer, $pms->{score} - $before, \@merged);
    return;
}

# True when it counts: a site's score of 0 switches a symbol off.
sub _hit {
    my ($self, $pms, $name, $score, $description, @evidence) = @_;
    my $conf = $pms->{conf};
    my %more;
    if (!defined $conf->{scores}->{$name}) {
        # A score given with a hit stays in the configuration, for reports; it is taken back after the
        # message, or it would look like the site's.
        $more{score} = sprintf('%.3f', $score * $conf->{calspamd_scale}) + 0;
        $more{score} = $score < 0 ? -LEAST_SCORE : LEAST_SCORE if !$more{score};
        my $is_described = defined $conf->{descriptions}->{$name};
        if (!$is_described && defined $description && !ref $description) {
            $more{description} = _one_line($description, 200);
        }
        push @{ $self->{lent} }, [ $conf, $name, exists $more{description} ];
    }
    $pms->got_hit($name, 'CALENDAR: ', ruletype => 'calendar', %more) or return 0;
    my $wanted = $conf->{calspamd_evidence};
    for my $text (grep { defined && !ref } @evidence) {
        last if $wanted-- <= 0;
        $pms->test_log(_one_line($text, MAX_EVIDENCE), $name);
    }
    return 1;
}

sub _take_back {
    my ($self) = @_;
    for my $lent (splice @{ $self->{lent} }) {
        my ($conf, $name, $is_described) = @{$lent};
        delete $_->{$name} for $conf->{scores}, @{ $conf->{scoreset} };
        delete $conf->{descriptions}->{$name} if $is_described;
    }
    return;
}

sub _set_tags {
    my ($pms, $answer, $score, $names) = @_;
    my $action = $answer->{action};
    $pms->set_tag(CALSPAMD => _one_line(ref $action ? '' : $action, 50));
    $pms->set_tag(CALSPAMDSCORE => sprintf '%.2f', $score);
    $pms->set_tag(CALSPAMDSYMBOLS => join ',', @{$names});
    my $added = _hash(_hash($answer->{milter})->{add_headers});
    my $decision = _hash($added->{'X-Calspam-Decision'})->{value};
    return if !defined $decision || ref $decision;
    $decision = _one_line($decision, 2000);
    # What SpamAssassin as a whole thinks of the message is known at the end only.
    $pms->set_tag(CALSPAMDDECISION => sub {
        my ($status) = @_;
        my $said = $decision;
        if ($status && $status->is_spam()) {
            $said =~ s/\binsert=\w+/insert=no/;
            $said =~ s/\btarget=(?:default|untrusted)\b/target=junk/;
            $said =~ s/\bbusy=\w+/busy=free/;
            $said =~ s/\balarms=\w+/alarms=strip/;
            $said =~ s/\bnotify=\w+/notify=no/;
        }
        return $said;
    });
    return;
}

sub _report_failure {
    my ($pms, $reason) = @_;
    $pms->set_tag(CALSPAMD => "failed ($reason)");
    # Without its line in calspamd.cf this rule has no score, and is not seen.
    $pms->test_log($reason, FAIL) if $pms->got_hit(FAIL, '', ruletype => 'calendar');
    return;
}

# ---- small things ----

sub _hash {
    my ($value) = @_;
    return ref $value eq 'HASH' ? $value : {};
}

# Octets in one line: a line break would start a header of the sender's choice.
sub _one_line {
    my ($text, $most) = @_;
    return '' if !defined $text;
    $text = substr $text, 0, $most;
    $text =~ s/[\x00-\x20\x7f]+/ /g;
    $text =~ s/ $//;
    utf8::encode($text) if utf8::is_utf8($text);
    return $text;
}

1;

__END__

=encoding utf8

=head1 NAME

Mail::SpamAssassin::Plugin::Calspamd - calendar spam, judged by calspamd

=head1 SYNOPSIS

In F<calspamd.pre>:

  loadplugin Mail::SpamAssassin::Plugin::Calspamd Calspamd.pm

In F<calspamd.cf>, which C<calspamd rules export spamassassin> writes:

  header   __CALSPAMD eval:check_calspamd()
  priority __CALSPAMD 900
  calspamd_symbol CAL_CALLBACK
  describe CAL_CALLBACK Callback scam: a number to call because of a charge

In F<local.cf>:

  calspamd_url http://127.0.0.1:11380
  score        CAL_FIRST_CONTACT 0.1
  add_header   all Calspamd-Decision _CALSPAMDDECISION_

=head1 DESCRIPTION

SpamAssassin does not look into calendars: no C<body> or C<uri> rule, no URIBL and no Bayes ever sees
what an invitation says. This plug-in hands messages with a calendar to the service calspamd over
HTTP, and brings back

=over 4

=item * its symbols, with scores, descriptions and evidence;

=item * the text of the calendar, decoded, unfolded and unescaped, for C<body> rules and Bayes;

=item * the links of the calendar, for C<uri> rules and URIBL.

=back

A calendar is recognised by its type, its file name or its content. Other messages are not sent
anywhere. Text that SpamAssassin reads by itself is kept, the calendar's is added to it.

A message is sent once, or twice when SPF, DKIM, DMARC or AuthRes may have results later: the first
time for the text and the links, which SpamAssassin needs before it asks any list, and the second time
with the results. calspamd remembers the last question only, and nothing of messages that are only
learned (C<sa-learn>).

Along go, as far as they are known: envelope, address and names of the client, id in the queue,
mailbox (if spamd is told an address as user), results of authentication, and whether the sender has
logged in.

=head1 SETTINGS

All of them are the administrator's: they are not read in users' preferences.

=over 4

=item calspamd_url URL (default: http://127.0.0.1:11380)

Where calspamd listens. C<https> needs the module IO::Socket::SSL.

=item calspamd_timeout n (default: 3)

Seconds for all questions about one message together. SpamAssassin counts them in whole seconds, so it
may be one more.

=item calspamd_retry n (default: 30)

After a failure calspamd is left alone for so many seconds, by each process of its own. With 0 it is
asked about every message.

=item calspamd_max_size n (default: 52428800)

Larger messages, in octets, are not sent.

=item calspamd_scale n (default: 0.8333)

What scores of calspamd are multiplied with. It calls a message spam from 6 on and SpamAssassin
from 5 on, so the default is 5/6.

=item calspamd_text (0|1) (default: 1)

Whether the text of calendars is shown to C<body> rules and Bayes.

=item calspamd_uris (0|1) (default: 1)

Whether the links of calendars are shown to C<uri> rules, URIBL and Bayes. calspamd asks no name
server itself then, so that a link is not counted twice. In C<uri_detail> they have the type C<calendar>.

=item calspamd_max_uris n (default: 100)

How many of them.

=item calspamd_evidence n (default: 3)

Lines of evidence under each symbol in the report.

=item calspamd_symbol NAME ...

Symbols of calspamd's that are merged under their names. Others, of rules that are newer than the
configuration, are summed up as C<CALSPAMD_OTHER>.

=back

=head1 SCORES

A symbol counts as much as calspamd says for this message, times C<calspamd_scale>. A C<score> line for
it, of the site or in a user's preferences, wins; the score 0 switches the symbol off.

Meta rules may use the names of symbols. C<rules_matching()> does not know symbols without a C<score>
line of the site.

=head1 RULES

=over 4

=item check_calspamd()

Asks, and merges what comes back. True for a message with a calendar. Its priority must be higher than
that of the rules for SPF, DKIM and DMARC.

=back

C<CALSPAMD_FAIL> hits when calspamd should have answered and did not; the reason stands below it.

=head1 TAGS

For C<add_header> and report templates; empty for messages without a calendar.

=over 4

=item _CALSPAMD_

What calspamd would do: C<no action>, C<greylist>, C<add header>, C<quarantine>, C<reject> or C<discard>;
or C<failed> with the reason.

=item _CALSPAMDSCORE_

Points of its symbols together, as SpamAssassin has counted them.

=item _CALSPAMDSYMBOLS_

Names of its symbols.

=item _CALSPAMDDECISION_

What to do with the event, for a calendar server. When SpamAssassin calls the message spam, it says
C<insert=no> and C<target=junk> whatever calspamd thinks of the event.

=back

=head1 FAILURES

A service that is down, slow or talks nonsense costs C<calspamd_timeout> seconds once every
C<calspamd_retry> seconds and one line in the log. The message is scanned as without it. When the
service is well and one message alone takes too long, the next one is asked about at once.

=head1 SEE ALSO

F<README.md> beside this file, L<Mail::SpamAssassin::Conf>, L<Mail::SpamAssassin::Plugin>

=cut
