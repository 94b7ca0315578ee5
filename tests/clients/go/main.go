// The routes of the example apps behind the handler of the X-Ray SDK for Go.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"

	"github.com/aws/aws-xray-sdk-go/v2/xray"
)

// So many subsegments of one segment are more than the SDK keeps: it sends those that are closed on their own.
const many = 120

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	routes := http.NewServeMux()
	routes.HandleFunc("GET /api/activities/home", func(w http.ResponseWriter, r *http.Request) {
		answer(w, home(r.Context()))
	})
	routes.HandleFunc("GET /api/activities/notifications", func(w http.ResponseWriter, r *http.Request) {
		answer(w, notifications(r.Context()))
	})
	routes.HandleFunc("GET /api/activities/many", func(w http.ResponseWriter, r *http.Request) {
		for range many {
			capture(r.Context(), "step", func(context.Context) {})
		}
		answer(w, nil)
	})
	routes.HandleFunc("GET /api/activities/broken", func(w http.ResponseWriter, r *http.Request) {
		broken := errors.New("the activities could not be loaded")
		must(xray.AddError(r.Context(), broken))
		http.Error(w, broken.Error(), http.StatusInternalServerError)
	})
	fmt.Printf("backend-go listens on http://%s\n", listener.Addr())
	log.Fatal(http.Serve(listener, xray.Handler(xray.NewFixedSegmentNamer("backend-go"), routes)))
}

func home(ctx context.Context) []string {
	handles := []string{"Andrew Brown", "Worf"}
	capture(ctx, "home_activities", func(ctx context.Context) {
		must(xray.AddAnnotation(ctx, "activity_count", len(handles)))
		must(xray.AddMetadataToNamespace(ctx, "home", "handles", handles))
	})
	return handles
}

func notifications(ctx context.Context) []string {
	handles := []string{"coco", "Zoë", "Worf"}
	must(xray.AddAnnotation(ctx, "page", "notifications"))
	capture(ctx, "notifications_activities", func(ctx context.Context) {
		capture(ctx, "load", func(ctx context.Context) {
			must(xray.AddAnnotation(ctx, "unread", 2))
			must(xray.AddMetadataToNamespace(ctx, "notifications", "handles", handles))
		})
		capture(ctx, "render", func(context.Context) {})
	})
	return handles
}

func capture(ctx context.Context, name string, work func(context.Context)) {
	must(xray.Capture(ctx, name, func(ctx context.Context) error {
		work(ctx)
		return nil
	}))
}

func answer(w http.ResponseWriter, handles []string) {
	_, err := io.WriteString(w, strings.Join(handles, "\n"))
	must(err)
}

func must(err error) {
	if err != nil {
		log.Panic(err)
	}
}
