// Tells the sluice agent beside this application what happens:
//
//	go run notify.go ready
//	go run notify.go failed the disk is full
package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

func socket() string {
	if path := os.Getenv("SLUICE_NOTIFY_SOCKET"); path != "" {
		return path
	}
	return "/run/sluice-agent/notify.sock"
}

// Notify sends one event, such as "weight @www 50%", and returns what the agent
// says, for people. An event that the agent does not take is an error.
func Notify(event string) (string, error) {
	agent, err := net.DialTimeout("unix", socket(), 10*time.Second)
	if err != nil {
		return "", err
	}
	defer agent.Close()
	if err := agent.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return "", err
	}
	// A line end in a cause would end the line.
	if _, err := fmt.Fprintln(agent, strings.ReplaceAll(event, "\n", " ")); err != nil {
		return "", err
	}
	answer, err := bufio.NewReader(agent).ReadString('\n')
	if err != nil {
		return "", err
	}
	word, text, _ := strings.Cut(strings.TrimSuffix(answer, "\n"), " ")
	if word != "ok" {
		return "", errors.New(text)
	}
	return text, nil
}

func main() {
	text, err := Notify(strings.Join(os.Args[1:], " "))
	if err != nil {
		fmt.Fprintln(os.Stderr, "error", err)
		os.Exit(1)
	}
	fmt.Println("ok", text)
}
