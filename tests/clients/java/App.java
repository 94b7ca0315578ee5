// The routes of the example apps as a servlet behind the X-Ray SDK's filter, in Tomcat as Spring Boot has it.

import com.amazonaws.xray.AWSXRay;
import com.amazonaws.xray.jakarta.servlet.AWSXRayServletFilter;
import jakarta.servlet.http.HttpServlet;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import org.apache.catalina.Context;
import org.apache.catalina.startup.Tomcat;
import org.apache.tomcat.util.descriptor.web.FilterDef;
import org.apache.tomcat.util.descriptor.web.FilterMap;

public class App extends HttpServlet {
    // So many subsegments of one segment are more than the SDK keeps: it sends those that are closed on their own.
    private static final int MANY = 120;

    @Override
    protected void doGet(HttpServletRequest request, HttpServletResponse response) throws IOException {
        switch (request.getRequestURI()) {
            case "/api/activities/home" -> answer(response, home());
            case "/api/activities/notifications" -> answer(response, notifications());
            case "/api/activities/many" -> answer(response, many());
            case "/api/activities/broken" -> {
                // The filter looks at the status before Tomcat has set it.
                response.setStatus(HttpServletResponse.SC_INTERNAL_SERVER_ERROR);
                throw new IllegalStateException("the activities could not be loaded");
            }
            default -> response.sendError(HttpServletResponse.SC_NOT_FOUND);
        }
    }

    private static void answer(HttpServletResponse response, List<String> handles) throws IOException {
        response.setContentType("text/plain; charset=utf-8");
        response.getOutputStream().write(String.join("\n", handles).getBytes(StandardCharsets.UTF_8));
    }

    private static List<String> home() {
        return AWSXRay.createSubsegment("home_activities", subsegment -> {
            List<String> handles = List.of("Andrew Brown", "Worf");
            subsegment.putAnnotation("activity_count", handles.size());
            subsegment.putMetadata("home", "handles", handles);
            return handles;
        });
    }

    private static List<String> notifications() {
        AWSXRay.getCurrentSegment().putAnnotation("page", "notifications");
        return AWSXRay.createSubsegment("notifications_activities", () -> {
            List<String> loaded = AWSXRay.createSubsegment("load", subsegment -> {
                List<String> handles = List.of("coco", "Zoë", "Worf");
                subsegment.putAnnotation("unread", 2);
                subsegment.putMetadata("notifications", "handles", handles);
                return handles;
            });
            return AWSXRay.createSubsegment("render", () -> loaded);
        });
    }

    private static List<String> many() {
        for (int number = 0; number < MANY; number += 1) {
            AWSXRay.createSubsegment("step", () -> {});
        }
        return List.of();
    }

    public static void main(String[] arguments) throws Exception {
        Tomcat tomcat = new Tomcat();
        tomcat.setBaseDir(arguments[0]);
        tomcat.setHostname("127.0.0.1");
        tomcat.getConnector().setProperty("address", "127.0.0.1");
        tomcat.getConnector().setPort(0);
        Context context = tomcat.addContext("", new File(arguments[0]).getAbsolutePath());
        Tomcat.addServlet(context, "app", new App());
        context.addServletMappingDecoded("/", "app");
        FilterDef filter = new FilterDef();
        filter.setFilterName("xray");
        filter.setFilter(new AWSXRayServletFilter("backend-java"));
        context.addFilterDef(filter);
        FilterMap all = new FilterMap();
        all.setFilterName("xray");
        all.addURLPattern("/*");
        context.addFilterMap(all);
        tomcat.start();
        System.out.println("backend-java listens on http://127.0.0.1:" + tomcat.getConnector().getLocalPort());
        tomcat.getServer().await();
    }
}
