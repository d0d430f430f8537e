// covey-go calls a covey server from Go: what is live, the traits of a learner, an outcome, a rollout watched or
// stopped. It is an example to copy from; `covey` is the command for every day.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	pb "example.com/covey-client/coveyv1"
	"github.com/google/uuid"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

const usage = `usage: covey-go [flags] COMMAND

  info                             what is live
  analyze LEARNER FILE             traits of one learner, from lines of TIME,DOMAIN,CAPABILITY
  outcome TOKEN LEARNER METRIC VALUE
                                   credits an outcome to an answer (TOKEN may be "")
  status ROLLOUT                   where a rollout stands
  watch ROLLOUT                    a line at every change, until it ends
  abort ROLLOUT REASON             every learner back to the baseline now

flags:`

func main() {
	var how security
	data := flag.String("data", "127.0.0.1:50051", "address of the data port")
	control := flag.String("control", "127.0.0.1:50052", "address of the control port")
	timeout := flag.Duration("timeout", 10*time.Second, "how long a call may take; a watch takes as long as the rollout")
	flag.StringVar(&how.cacert, "cacert", "", "PEM file of the authorities that the server is checked against")
	flag.StringVar(&how.cert, "cert", "", "PEM file of your certificate, with -key")
	flag.StringVar(&how.key, "key", "", "PEM file of your private key")
	flag.StringVar(&how.tokenFile, "token-file", "", "file that holds your token")
	flag.StringVar(&how.actor, "as", os.Getenv("USER"), "who you are, for a server without tokens")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), usage)
		flag.PrintDefaults()
	}
	flag.Parse()
	if err := run(flag.Args(), *data, *control, *timeout, how, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "covey-go:", err)
		if errors.Is(err, errUsage) {
			flag.Usage()
			os.Exit(2)
		}
		os.Exit(1)
	}
}

var errUsage = errors.New("no such command, or not its arguments")

func run(words []string, data, control string, timeout time.Duration, how security, out io.Writer) error {
	commands := map[string]struct {
		arguments int
		address   string
		run       func(context.Context, session, []string) error
	}{
		"info":    {0, data, info},
		"analyze": {2, data, analyze},
		"outcome": {4, data, outcome},
		"status":  {1, control, rolloutStatus},
		"watch":   {1, control, watch},
		"abort":   {2, control, abort},
	}
	if len(words) == 0 {
		return errUsage
	}
	command, known := commands[words[0]]
	if !known || len(words)-1 != command.arguments {
		return errUsage
	}
	connection, err := dial(command.address, how)
	if err != nil {
		return err
	}
	defer connection.Close()
	ctx := context.Background()
	if words[0] != "watch" {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	called := session{
		analyzer: pb.NewAnalyzerServiceClient(connection),
		outcomes: pb.NewOutcomeServiceClient(connection),
		rollouts: pb.NewRolloutServiceClient(connection),
		out:      out,
	}
	if err := command.run(ctx, called, words[1:]); err != nil {
		return explained(err)
	}
	return nil
}

// session is what a command works with.
type session struct {
	analyzer pb.AnalyzerServiceClient
	outcomes pb.OutcomeServiceClient
	rollouts pb.RolloutServiceClient
	out      io.Writer
}

func info(ctx context.Context, to session, _ []string) error {
	answer, err := to.analyzer.GetServerInfo(ctx, &pb.GetServerInfoRequest{})
	return to.print(answer, err)
}

func analyze(ctx context.Context, to session, words []string) error {
	history, err := readHistory(words[1])
	if err != nil {
		return err
	}
	answer, err := to.analyzer.AnalyzeLearner(ctx, &pb.AnalyzeLearnerRequest{
		LearnerId: words[0],
		History:   &pb.AnalyzeLearnerRequest_Rows{Rows: history},
	})
	return to.print(answer, err)
}

// readHistory reads one event per line: an RFC 3339 time, a domain, a capability.
func readHistory(path string) (*pb.EventRows, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	history := &pb.EventRows{}
	for number, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		fields := strings.Split(line, ",")
		if len(fields) != 3 {
			return nil, fmt.Errorf("%s, line %d: expected TIME,DOMAIN,CAPABILITY", path, number+1)
		}
		when, err := time.Parse(time.RFC3339, fields[0])
		if err != nil {
			return nil, fmt.Errorf("%s, line %d: %w", path, number+1, err)
		}
		history.Rows = append(history.Rows, &pb.EventRow{
			Time: timestamppb.New(when), Domain: fields[1], Capability: fields[2], Kind: pb.EventKind_EVENT_KIND_TRAINING,
		})
	}
	return history, nil
}

func outcome(ctx context.Context, to session, words []string) error {
	value, err := strconv.ParseFloat(words[3], 64)
	if err != nil {
		return fmt.Errorf("VALUE %q is no number", words[3])
	}
	answer, err := to.outcomes.ReportOutcomes(ctx, &pb.ReportOutcomesRequest{
		Outcomes: []*pb.Outcome{{
			ExposureToken: words[0], LearnerId: words[1], Metric: words[2], Value: value, Time: timestamppb.Now(),
		}},
		RequestId: uuid.NewString(),
	})
	return to.print(answer, err)
}

func rolloutStatus(ctx context.Context, to session, words []string) error {
	rollout, err := to.rollouts.GetRollout(ctx, &pb.GetRolloutRequest{Name: named(words[0])})
	return to.print(rollout, err)
}

func watch(ctx context.Context, to session, words []string) error {
	stream, err := to.rollouts.WatchRollout(ctx, &pb.WatchRolloutRequest{Name: named(words[0])})
	if err != nil {
		return err
	}
	last := ""
	for {
		message, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		rollout := message.GetRollout()
		line := fmt.Sprintf("%s %s, %g %% to the candidate: %s",
			strings.TrimPrefix(rollout.GetState().String(), "STATE_"), rollout.GetPhase(),
			float64(rollout.GetCandidateWeightBp())/100, rollout.GetExplanation())
		if line != last {
			fmt.Fprintln(to.out, line)
		}
		last = line
	}
}

func abort(ctx context.Context, to session, words []string) error {
	answer, err := to.rollouts.AbortRollout(ctx, &pb.AbortRolloutRequest{
		Name: named(words[0]), Reason: words[1], RequestId: uuid.NewString(),
	})
	return to.print(answer.GetRollout(), err)
}

func named(name string) string {
	if strings.HasPrefix(name, "rollouts/") {
		return name
	}
	return "rollouts/" + name
}

func (to session) print(message proto.Message, err error) error {
	if err != nil {
		return err
	}
	text, err := protojson.MarshalOptions{Multiline: true, UseProtoNames: true}.Marshal(message)
	if err != nil {
		return err
	}
	fmt.Fprintln(to.out, string(text))
	return nil
}
