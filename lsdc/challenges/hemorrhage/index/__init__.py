"""The headers of flat folders of CT images, as tables of images, series and studies."""
