/* Prints what the middle of each depth frame means, from its GstDepthMeta.
 *
 *     cc examples/read_meta.c -o read_meta $(pkg-config --cflags --libs gstreamer-video-1.0)
 *     ./read_meta video.mp4
 */
#include <gst/video/video.h>

static gboolean
print_middle (GstSample * sample)
{
  GstBuffer *buffer = gst_sample_get_buffer (sample);
  GstCustomMeta *meta = gst_buffer_get_custom_meta (buffer, "GstDepthMeta");
  GstVideoInfo info;
  GstVideoFrame frame;
  gdouble scale, offset;
  guint width, height, scene;
  gboolean repeated, filtered;
  gchar *unit, *model;

  if (meta == NULL
      || !gst_video_info_from_caps (&info, gst_sample_get_caps (sample)))
    return FALSE;
  if (!gst_structure_get (gst_custom_meta_get_structure (meta),
          "scale", G_TYPE_DOUBLE, &scale, "offset", G_TYPE_DOUBLE, &offset,
          "network-width", G_TYPE_UINT, &width,
          "network-height", G_TYPE_UINT, &height,
          "scene", G_TYPE_UINT, &scene, "repeated", G_TYPE_BOOLEAN, &repeated,
          "filtered", G_TYPE_BOOLEAN, &filtered,
          "unit", G_TYPE_STRING, &unit, "model", G_TYPE_STRING, &model, NULL))
    return FALSE;

  if (gst_video_frame_map (&frame, &info, buffer, GST_MAP_READ)) {
    const guint8 *row = GST_VIDEO_FRAME_PLANE_DATA (&frame, 0);
    guint16 raw;
    gdouble value;

    row += (info.height / 2) * GST_VIDEO_FRAME_PLANE_STRIDE (&frame, 0);
    row += (info.width / 2) * 2;
    raw = GST_VIDEO_INFO_FORMAT (&info) == GST_VIDEO_FORMAT_GRAY16_BE
        ? GST_READ_UINT16_BE (row) : GST_READ_UINT16_LE (row);
    value = scale * raw + offset;

    g_print ("%.3f s  ", (gdouble) GST_BUFFER_PTS (buffer) / GST_SECOND);
    if (g_str_equal (unit, "metre"))
      g_print ("%.3f m", value);
    else
      g_print ("inverse depth %.4f", value);
    g_print ("  (sample %u, network %ux%u, scene %u, model %s%s%s)\n",
        raw, width, height, scene, model, repeated ? ", repeated" : "",
        filtered ? ", filtered" : "");
    gst_video_frame_unmap (&frame);
  }
  g_free (unit);
  g_free (model);
  return TRUE;
}

static GstFlowReturn
on_sample (GstElement * sink, G_GNUC_UNUSED gpointer data)
{
  GstSample *sample = NULL;
  gboolean sound;

  g_signal_emit_by_name (sink, "pull-sample", &sample);
  if (sample == NULL)
    return GST_FLOW_EOS;
  sound = print_middle (sample);
  gst_sample_unref (sample);
  if (!sound)
    GST_ELEMENT_ERROR (sink, STREAM, FORMAT, ("a frame without GstDepthMeta"),
        (NULL));
  return sound ? GST_FLOW_OK : GST_FLOW_ERROR;
}

int
main (int argc, char **argv)
{
  GstElement *pipeline, *video, *depth;
  GstMessage *message;
  GError *error = NULL;
  int code = 0;

  gst_init (&argc, &argv);
  if (argc == 2 && g_str_equal (argv[1], "--help")) {
    g_print ("usage: read_meta FILM\n\n"
        "Prints what the middle of each depth frame of a video or photo means.\n");
    return 0;
  }
  if (argc != 2) {
    g_printerr ("usage: read_meta FILM\n");
    return 2;
  }
  if (!g_file_test (argv[1], G_FILE_TEST_IS_REGULAR)) {
    g_printerr ("error: there is no file %s\n", argv[1]);
    return 1;
  }
  pipeline = gst_parse_launch ("filesrc name=video ! decodebin ! depthanything"
      " ! appsink name=depth sync=false emit-signals=true", &error);
  if (error != NULL) {
    g_printerr ("error: %s\n", error->message);
    return 1;
  }
  video = gst_bin_get_by_name (GST_BIN (pipeline), "video");
  g_object_set (video, "location", argv[1], NULL);
  depth = gst_bin_get_by_name (GST_BIN (pipeline), "depth");
  g_signal_connect (depth, "new-sample", G_CALLBACK (on_sample), NULL);

  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  message = gst_bus_timed_pop_filtered (GST_ELEMENT_BUS (pipeline),
      GST_CLOCK_TIME_NONE, GST_MESSAGE_EOS | GST_MESSAGE_ERROR);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_ERROR) {
    gst_message_parse_error (message, &error, NULL);
    g_printerr ("error: %s: %s\n", argv[1], error->message);
    g_clear_error (&error);
    code = 1;
  }
  gst_message_unref (message);
  gst_object_unref (video);
  gst_object_unref (depth);
  gst_object_unref (pipeline);
  return code;
}
